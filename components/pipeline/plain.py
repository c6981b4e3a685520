"""A retraining in this process: each step is a call of its component, without Prefect and MLflow."""

import time
from collections.abc import Callable, Generator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from components.audit.results import Audit
from components.audit.run import audit
from components.config import PipelineConfig, PretrainedConfig
from components.config.encoders import FittedConfig
from components.data.ingest import ingest
from components.distillation.setup import DistillationSetup
from components.errors import OutOfTimeError
from components.explanations.explain import explain_samples
from components.explanations.results import Explanations
from components.models.encoders import needs_fit
from components.pipeline.align import align, open_aligned, pretrain
from components.pipeline.budget import TRAININGS, in_time
from components.pipeline.combine import Fitted, combine, combine_again, with_weight
from components.pipeline.cross_fit import cross_fit
from components.pipeline.evaluate import ModelEvaluation, evaluate_model, read_curves, training_folders
from components.pipeline.extract import extract
from components.pipeline.fit import fit, probe, take_frozen
from components.pipeline.follow import follow
from components.pipeline.fuse import fuse, fused_model, joint_encoders, train_jointly, with_trees
from components.pipeline.package import package_model
from components.pipeline.parts import Parts
from components.pipeline.preprocess import prepare
from components.pipeline.worth import measure_worth
from components.promotion.compare import FIRST, Rival, compare
from components.promotion.verdict import Verdict
from components.references import (
    Combined,
    Dataset,
    EncoderWeights,
    Features,
    FusedModel,
    Learner,
    LeftOut,
    Missing,
    OutOfFold,
    Prepared,
    Refit,
    Single,
    Trained,
    Worth,
)
from components.report.page import write_report
from components.retrieval.evaluate import evaluate_retrieval
from components.retrieval.results import Retrievals
from components.robustness.measure import measure_robustness
from components.robustness.results import Robustness
from components.runtime.deadline import Allowance
from components.training.checkpoint import Epoch
from components.training.folds import Fold, named

Value = TypeVar("Value")
Result = TypeVar("Result", Single, Trained)


@dataclass(frozen=True)
class Retrained:
    """Results of a retraining, in the form that its runner gives them.

    Attributes:
        parts: What the model is made of.
        evaluation: Of all candidates and the delivered model, on test.
        optional: Results of the steps that the configuration asks for; :class:`Missing` where one failed.
        promotion: Decision about the champion.
        report: Path of the page, or :class:`Missing`.
        left_out: What a run with ``time_limit`` had no time for, besides optional steps.
    """

    parts: Parts
    evaluation: Any
    optional: dict[str, Any]
    promotion: Any
    report: Any
    left_out: Sequence[LeftOut] = ()

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Steps that failed without failing the run, and those that were left out."""
        results = [*self.left_out, *self.optional.values(), self.report]
        return tuple(result for result in results if isinstance(result, Missing))


class PlainSteps:
    """The steps that the text of :mod:`components.pipeline.run` calls: each is a call of its component.

    Content that the folder holds is not made again. What runs the steps elsewhere gives stand-ins for their
    values: the text hands these from step to step as they are, and calls :meth:`wait` where it needs a value.

    Args:
        config: The pipeline.
        folder: Folder of caches, samples, bundle and report.
        base: Folder of the pipeline file.
        data: Folder of the samples, below ``folder``.
        bundle: Folder of the bundle, below ``folder``.
        champion: The model to replace; None makes the new one champion.
        distillation: Help of a teacher with the last training: that of the fusion, or of the only input.
    """

    def __init__(
        self,
        config: PipelineConfig,
        folder: Path,
        base: Path,
        data: str = "data",
        bundle: str = "bundle",
        champion: Rival | None = None,
        distillation: DistillationSetup | None = None,
    ) -> None:
        self.config = config
        self.folder, self.base = folder, base
        self.data, self.bundle = folder / data, folder / bundle
        self.champion, self.distillation = champion, distillation
        self.trainings = folder / "cache" / "trainings"
        self._began = time.time()

    lanes = 1
    """Number of steps that run side by side."""

    @property
    def began(self) -> float:
        """Unix time at which the run began, if it had never been interrupted."""
        return self._began

    def within(self, allowance: Allowance | None) -> "PlainSteps":
        """Give the same steps with a time for each; the result of one that exceeds it is :class:`LeftOut`.

        Args:
            allowance: Time of each step; None for as long as it takes.
        """
        if allowance is None:
            return self
        return cast(PlainSteps, _StepsInTime(self, allowance))

    def with_config(self, config: PipelineConfig) -> "PlainSteps":
        """Give the same steps for a part of the pipeline."""
        steps = copy(self)
        steps.config = config
        return steps

    def wait(self, value: Value) -> Value:
        """Give the value behind a stand-in, or behind each of a dictionary; here it is there already.

        Raises:
            Exception: The failure of the step, unless it was begun by :meth:`attempt`.
        """
        return value

    def attempt(self, step: str, run: Callable[..., Value], *arguments: Any) -> Value | Missing:
        """Run an optional step; :meth:`wait` gives :class:`Missing` where it fails."""
        try:
            return run(*arguments)
        except Exception as error:
            return Missing.because(step, error)

    def follow(
        self,
        part: str,
        training: Generator[Epoch, None, Result],
        epochs: int,
        learner: Learner | None = None,
    ) -> Result:
        """Run a training to its end.

        Args:
            part: Label of a learner, ``fusion``, ``joint``, ``alignment`` or ``pretraining``, and the fold.
            training: Yields the epochs.
            epochs: The most that there can be.
            learner: The learner that is fitted to all rows; None for other trainings.
        """
        return follow(training, lambda epoch: None)

    def ingest(self) -> Dataset:
        """Check the manifest."""
        return ingest(self.config, self.data, self.base)

    def preprocess(self, dataset: Dataset, learner: Learner) -> Prepared:
        """Bring the samples of an input into the canonical form for an encoder."""
        engine, canonical = self.config.engine, self.folder / "cache" / "canonical"
        section = self.config.inputs[learner.input].with_encoder(learner.options)
        return prepare(dataset, learner.input, section, canonical, engine.shard_rows, engine=engine)

    def pretrain(self, dataset: Dataset, prepared: dict[str, Prepared]) -> Trained:
        """Align encoders from scratch before their fits."""
        assert self.config.alignment is not None
        training = pretrain(dataset, prepared, self.config, self.trainings)
        return self.follow("pretraining", training, self.config.alignment.training.epochs)

    def fit(
        self,
        dataset: Dataset,
        prepared: Prepared,
        learner: Learner,
        pretrained: Trained | None,
        fold: Fold | None = None,
        whole: Single | None = None,
    ) -> Single | EncoderWeights:
        """Train an encoder of an input with a head of its own, or take it frozen.

        With ``fold`` its rows are left out, and the best epoch of ``whole``, the fit to all, is the last.
        """
        if needs_fit(learner.options):
            return self.train_input(dataset, prepared, learner, pretrained, fold, whole)
        return take_frozen(dataset, prepared, self.with_learner(learner), self.trainings)

    def train_input(
        self,
        dataset: Dataset,
        prepared: Prepared,
        learner: Learner,
        pretrained: Trained | None = None,
        fold: Fold | None = None,
        whole: Single | None = None,
    ) -> Single:
        """Train a head of an input, and its encoder unless that is frozen."""
        config = self.with_learner(learner)
        distillation = self.distillation if len(config.inputs) == 1 else None
        training = fit(dataset, prepared, config, self.trainings, pretrained, distillation, fold, whole)
        in_one_pass = isinstance(learner.options, FittedConfig)
        epochs = 1 if in_one_pass else config.inputs[learner.input].fit.epochs
        label = named(learner.label, fold, whole)
        followed = learner if whole is None else None
        return self.follow(label, training, epochs, followed)

    def extract(
        self,
        dataset: Dataset,
        prepared: Prepared,
        encoder: Single | EncoderWeights,
        label: str,
    ) -> Features:
        """Embed the samples of an input by an encoder, which has a label for people."""
        weights = encoder.encoder if isinstance(encoder, Single) else encoder
        return extract(dataset, prepared, weights, self.config, self.folder / "cache" / "features")

    def probe(
        self,
        dataset: Dataset,
        features: Features,
        learner: Learner,
        fold: Fold | None = None,
        whole: Single | None = None,
    ) -> Single:
        """Fit a linear head to the features of a frozen encoder.

        It is fitted without the rows of a fold, or like ``whole`` with the validation rows too.
        """
        return probe(dataset, features, self.with_learner(learner), self.trainings, fold, whole)

    def cross_fit(
        self, dataset: Dataset, prepared: Prepared, features: Features, fits: list[Single], learner: Learner
    ) -> OutOfFold:
        """Embed and predict each training row by the fit that has not seen it."""
        config, cache = self.with_learner(learner), self.folder / "cache" / "features"
        return cross_fit(dataset, prepared, features, fits, config, cache)

    def worth(
        self,
        dataset: Dataset,
        features: dict[str, Features],
        singles: dict[str, Single],
        unseen: dict[str, OutOfFold],
    ) -> dict[str, Worth]:
        """Measure what each input says by itself and adds to the others; arguments by learner."""
        return measure_worth(dataset, features, singles, unseen)

    def combine(self, dataset: Dataset, fitted: Sequence[Fitted]) -> Combined:
        """Weigh the learners of an input out of fold, and put those with weight together."""
        return combine(dataset, fitted, self.config, self.folder / "cache")

    def refit(
        self,
        dataset: Dataset,
        prepared: Prepared,
        single: Single,
        fitted: Sequence[Fitted],
    ) -> Refit:
        """Fit an input again to training and validation rows, with what the first fit has chosen.

        Args:
            dataset: The samples.
            prepared: Canonical samples of the input.
            single: The input as it was fitted and combined.
            fitted: Its learners; those without weight are not fitted again.

        Raises:
            OutOfTimeError: If a deadline ends a training before its last epoch.
        """
        again = [self.refit_learner(dataset, each) for each in with_weight(single, fitted)]
        return combine_again(dataset, prepared, single, again, self.config, self.folder / "cache")

    def refit_learner(self, dataset: Dataset, fitted: Fitted) -> Fitted:
        """Fit a learner again; a pretrained encoder that was fine-tuned stays as it is."""
        learner = fitted.learner
        if not needs_fit(learner.options):
            head = self.probe(dataset, fitted.features, learner, None, fitted.single)
            return replace(fitted, single=head)
        if isinstance(learner.options, PretrainedConfig):
            return fitted
        single = self.train_input(dataset, fitted.prepared, learner, whole=fitted.single)
        if single.training is not None and not single.training.is_complete:
            raise OutOfTimeError("it was stopped in the middle")
        features = self.extract(dataset, fitted.prepared, single, learner.label)
        return replace(fitted, single=replace(single, training=fitted.single.training), features=features)

    def with_learner(self, learner: Learner) -> PipelineConfig:
        """Give the configuration with one learner for its input."""
        return self.config.with_encoder(learner.input, learner.options)

    def fuse(
        self,
        dataset: Dataset,
        features: dict[str, Features],
        singles: dict[str, Single],
        unseen: dict[str, OutOfFold],
        fold: Fold | None = None,
        whole: FusedModel | None = None,
    ) -> FusedModel:
        """Train the fusion on cached features.

        It is trained without the rows of a fold, or like ``whole`` with the validation rows too.
        """
        training = fuse(
            dataset, features, singles, unseen, self.config, self.trainings, self.distillation, fold, whole
        )
        trained = self.follow(named("fusion", fold, whole), training, self.config.training.epochs)
        return fused_model(trained, features)

    def boost(
        self,
        dataset: Dataset,
        features: dict[str, Features],
        singles: dict[str, Single],
        unseen: dict[str, OutOfFold],
        fold: Fold | None = None,
        whole: FusedModel | None = None,
    ) -> FusedModel:
        """Fit trees over all inputs beside the fusion of the configuration; rows as of :meth:`fuse`."""
        config = with_trees(self.config)
        training = fuse(dataset, features, singles, unseen, config, self.trainings, None, fold, whole)
        return fused_model(self.follow(named("trees", fold, whole), training, 1), features)

    def joint(
        self,
        dataset: Dataset,
        prepared: dict[str, Prepared],
        features: dict[str, Features],
        singles: dict[str, Single],
        start: FusedModel | None,
        pretrained: Trained | None,
    ) -> tuple[Trained, dict[str, EncoderWeights]]:
        """Train encoders and fusion together, from nothing or from a staged fusion."""
        begin = None if start is None else start.training
        training = train_jointly(
            dataset, prepared, features, singles, self.config, self.trainings, begin, pretrained
        )
        epochs = self.config.training.epochs if start is None else self.config.joint_epochs
        trained = self.follow("joint", training, epochs)
        return trained, joint_encoders(trained, prepared, self.config)

    def align(self, dataset: Dataset, fused: FusedModel | None) -> Trained:
        """Train the projections for search."""
        assert fused is not None
        assert self.config.alignment is not None
        training = align(dataset, fused.features, self.config, self.trainings)
        return self.follow("alignment", training, self.config.alignment.training.epochs)

    def evaluate(
        self,
        dataset: Dataset,
        prepared: dict[str, Prepared],
        singles: dict[str, Single],
        features: dict[str, Features],
        unseen: dict[str, OutOfFold],
        fused: FusedModel | None,
        fused_folds: Sequence[FusedModel],
        trees: Sequence[FusedModel],
        aligned: Trained | None,
    ) -> ModelEvaluation:
        """Choose by rows that nothing has learned from, write the bundle, evaluate it on test."""
        teacher = None if self.distillation is None else Path(self.distillation.predictions.teacher)
        selection = package_model(
            dataset,
            prepared,
            singles,
            features,
            unseen,
            fused,
            fused_folds,
            trees,
            self.config,
            self.bundle,
            aligned,
            teacher,
        )
        made = evaluate_model(dataset, selection, features, fused, self.bundle, self.config, singles)
        return replace(made, curves=read_curves(training_folders(singles, fused), self.config.target.metric))

    def retrieval(self, dataset: Dataset, fused: FusedModel | None, aligned: Trained) -> Retrievals:
        """Evaluate search between inputs on test."""
        assert fused is not None
        network = open_aligned(aligned, fused.features, self.config)
        return evaluate_retrieval(dataset, fused.features, network, self.config)

    def robustness(self, dataset: Dataset, evaluation: ModelEvaluation) -> Robustness:
        """Measure the cost of damaged and of missing inputs."""
        return measure_robustness(dataset, self.bundle, evaluation.evaluations[0], self.config)

    def explain(self, dataset: Dataset, evaluation: ModelEvaluation) -> Explanations:
        """Attribute predictions to parts of the inputs."""
        return explain_samples(dataset, self.bundle, evaluation.predictions, self.config)

    def audit(
        self,
        dataset: Dataset,
        prepared: dict[str, Prepared],
        features: dict[str, Features],
        evaluation: ModelEvaluation,
    ) -> Audit:
        """Check labels, duplicates and leaks of the data."""
        return audit(dataset, prepared, features, evaluation.evaluations[0], self.config)

    def promote(
        self, dataset: Dataset, evaluation: ModelEvaluation, robustness: Robustness | Missing | None
    ) -> Verdict:
        """Decide whether the model becomes champion; ``robustness`` may be None or :class:`Missing`."""
        if self.champion is None:
            return FIRST
        if isinstance(robustness, Missing):
            challenger = Rival(self.bundle, "challenger", unmeasured=str(robustness))
        else:
            challenger = Rival(self.bundle, "challenger", robustness)
        return compare(dataset, challenger, self.champion, self.config, self.data, self.base)

    def report(
        self, dataset: Dataset, evaluation: ModelEvaluation, promotion: Verdict, optional: dict[str, Any]
    ) -> Path:
        """Write the report page; ``optional`` holds results by step, or :class:`Missing`."""
        page = self.folder / "report.html"
        write_report(
            page,
            dataset,
            evaluation.evaluations,
            optional,
            title=self.config.name,
            curves=evaluation.curves,
            fusion=self.config.fusion.name,
            promotion=promotion.reason,
            checks=promotion.tables().get("promotion"),
        )
        return page


class _StepsInTime:
    """Steps that are begun with a time for each.

    Args:
        steps: The steps.
        allowance: Time of each.
    """

    def __init__(self, steps: PlainSteps, allowance: Allowance) -> None:
        self._steps, self._allowance = steps, allowance

    def __getattr__(self, name: str) -> Any:
        step = getattr(self._steps, name)
        if name in ("attempt", "wait", "lanes", "began"):
            return step

        def run(*arguments: Any) -> Any:
            return in_time(name, self._allowance, step, arguments, in_epochs=name in TRAININGS)

        return run
