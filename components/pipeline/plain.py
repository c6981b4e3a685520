"""A retraining in this process: each step is a call of its component, without Prefect and MLflow."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from components.audit.results import Audit
from components.audit.run import audit
from components.config.pipeline import PipelineConfig
from components.data.ingest import ingest
from components.distillation.setup import DistillationSetup
from components.explanations.explain import explain_samples
from components.explanations.results import Explanations
from components.models.encoders import needs_fit
from components.pipeline.align import align, open_aligned, pretrain
from components.pipeline.evaluate import ModelEvaluation, evaluate_model
from components.pipeline.extract import extract
from components.pipeline.fit import fit, probe, take_frozen
from components.pipeline.follow import follow
from components.pipeline.fuse import fuse, fused_model, joint_encoders, train_jointly
from components.pipeline.package import OpenedSplit, package_model
from components.pipeline.preprocess import prepare
from components.pipeline.run import train
from components.pipeline.steps import Parts, Steps
from components.promotion.compare import FIRST, Rival, compare
from components.promotion.verdict import Verdict
from components.references import (
    Dataset,
    EncoderWeights,
    Features,
    FusedModel,
    Missing,
    Prepared,
    Single,
    Trained,
)
from components.report.content import Report
from components.report.data_summary import summarise
from components.report.page import render_report
from components.retrieval.evaluate import evaluate_retrieval
from components.retrieval.results import Retrievals
from components.robustness.measure import measure_robustness
from components.robustness.results import Robustness
from components.storage.atomic import write_bytes
from components.training.checkpoint import Epoch

Value = TypeVar("Value")
Result = TypeVar("Result", Single, Trained)


@dataclass(frozen=True)
class BuiltModel(Parts):
    """A packaged model beside the parts that it is made of.

    Attributes:
        config: The pipeline.
        folder: Folder of caches, samples and bundle.
        bundle: Folder of the packaged model.
        validation: Validation rows, with their embeddings and values.
    """

    config: PipelineConfig
    folder: Path
    bundle: Path
    validation: OpenedSplit


def build_model(
    config: PipelineConfig, folder: Path, base: Path, data: str = "data", bundle: str = "bundle"
) -> BuiltModel:
    """Train and package a model, without an evaluation; arguments as of :class:`PlainSteps`."""
    steps = PlainSteps(config, folder, base, data, bundle)
    parts = train(steps, config)
    validation = package_model(
        parts.dataset, parts.prepared, parts.singles, parts.features, parts.fused, config, steps.bundle
    )
    return BuiltModel(**vars(parts), config=config, folder=folder, bundle=steps.bundle, validation=validation)


class PlainSteps(Steps):
    """Calls the component of each step and gives its value; content that the folder holds is not made again.

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

    def wait(self, value: Value) -> Value:
        """Give the value as it is: its step has ended."""
        return value

    def attempt(self, step: str, run: Callable[..., Value], *arguments: Any) -> Value | Missing:
        """Run an optional step; give :class:`Missing` where it fails."""
        try:
            return run(*arguments)
        except Exception as error:
            return Missing.because(step, error)

    def follow(self, part: str, training: Generator[Epoch, None, Result], epochs: int) -> Result:
        """Run a training to its end.

        Args:
            part: Name of the input, ``fusion``, ``joint``, ``alignment`` or ``pretraining``.
            training: Yields the epochs.
            epochs: The most that there can be.
        """
        return follow(training, lambda epoch: None)

    def ingest(self) -> Dataset:
        return ingest(self.config, self.data, self.base)

    def preprocess(self, dataset: Dataset, name: str) -> Prepared:
        engine, canonical = self.config.engine, self.folder / "cache" / "canonical"
        section = self.config.inputs[name]
        return prepare(dataset, name, section, canonical, engine.shard_rows, engine=engine)

    def pretrain(self, dataset: Dataset, prepared: dict[str, Prepared]) -> Trained:
        assert self.config.alignment is not None
        training = pretrain(dataset, prepared, self.config, self.trainings)
        return self.follow("pretraining", training, self.config.alignment.training.epochs)

    def fit(
        self, dataset: Dataset, prepared: Prepared, name: str, pretrained: Trained | None
    ) -> Single | EncoderWeights:
        if needs_fit(self.config.inputs[name].encoder):
            return self.train_input(dataset, prepared, name, pretrained)
        return take_frozen(prepared, self.config)

    def train_input(
        self, dataset: Dataset, prepared: Prepared, name: str, pretrained: Trained | None = None
    ) -> Single:
        """Train the head of an input, and its encoder unless that is frozen."""
        distillation = self.distillation if len(self.config.inputs) == 1 else None
        training = fit(dataset, prepared, self.config, self.trainings, pretrained, distillation)
        return self.follow(name, training, self.config.inputs[name].fit.epochs)

    def extract(
        self,
        dataset: Dataset,
        prepared: Prepared,
        encoder: Single | EncoderWeights,
        name: str,
        purpose: str = "",
    ) -> Features:
        weights = encoder.encoder if isinstance(encoder, Single) else encoder
        return extract(dataset, prepared, weights, self.config, self.folder / "cache" / "features")

    def probe(self, dataset: Dataset, features: Features, name: str) -> Single:
        return probe(dataset, features, self.trainings)

    def fuse(self, dataset: Dataset, features: dict[str, Features], singles: dict[str, Single]) -> FusedModel:
        training = fuse(dataset, features, singles, self.config, self.trainings, self.distillation)
        return fused_model(self.follow("fusion", training, self.config.training.epochs), features)

    def joint(
        self,
        dataset: Dataset,
        prepared: dict[str, Prepared],
        features: dict[str, Features],
        singles: dict[str, Single],
        start: FusedModel | None,
        pretrained: Trained | None,
    ) -> tuple[Trained, dict[str, EncoderWeights]]:
        begin = None if start is None else start.training
        training = train_jointly(
            dataset, prepared, features, singles, self.config, self.trainings, begin, pretrained
        )
        epochs = self.config.training.epochs if start is None else self.config.joint_epochs
        trained = self.follow("joint", training, epochs)
        return trained, joint_encoders(trained, prepared, self.config)

    def align(self, dataset: Dataset, fused: FusedModel | None) -> Trained:
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
        fused: FusedModel | None,
        aligned: Trained | None,
    ) -> ModelEvaluation:
        validation = package_model(
            dataset, prepared, singles, features, fused, self.config, self.bundle, aligned
        )
        return evaluate_model(dataset, validation, features, fused, self.bundle, self.config)

    def retrieval(self, dataset: Dataset, fused: FusedModel | None, aligned: Trained) -> Retrievals:
        assert fused is not None
        network = open_aligned(aligned, fused.features, self.config)
        return evaluate_retrieval(dataset, fused.features, network, self.config)

    def robustness(self, dataset: Dataset, evaluation: ModelEvaluation) -> Robustness:
        return measure_robustness(dataset, self.bundle, evaluation.evaluations[0], self.config)

    def explain(self, dataset: Dataset, evaluation: ModelEvaluation) -> Explanations:
        return explain_samples(dataset, self.bundle, evaluation.predictions, self.config)

    def audit(
        self,
        dataset: Dataset,
        prepared: dict[str, Prepared],
        features: dict[str, Features],
        evaluation: ModelEvaluation,
    ) -> Audit:
        return audit(dataset, prepared, features, evaluation.evaluations[0], self.config)

    def promote(
        self, dataset: Dataset, evaluation: ModelEvaluation, robustness: Robustness | Missing | None
    ) -> Verdict:
        if self.champion is None:
            return FIRST
        if isinstance(robustness, Missing):
            challenger = Rival(self.bundle, "challenger", unmeasured=str(robustness))
        else:
            challenger = Rival(self.bundle, "challenger", robustness)
        return compare(dataset, challenger, self.champion, self.config)

    def report(
        self, dataset: Dataset, evaluation: ModelEvaluation, promotion: Verdict, optional: dict[str, Any]
    ) -> Path:
        primary, *further = evaluation.evaluations
        results = {step: None if isinstance(each, Missing) else each for step, each in optional.items()}
        report = Report(
            title=self.config.name,
            created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            evaluation=primary,
            data=summarise(dataset),
            further=tuple(further),
            promotion=promotion.reason,
            verdict=promotion,
            robustness=results.get("robustness"),
            explanations=results.get("explain"),
            retrieval=results.get("retrieval"),
            audit=results.get("audit"),
            missing=tuple(each for each in optional.values() if isinstance(each, Missing)),
        )
        page = self.folder / "report.html"
        write_bytes(page, render_report(report).encode("utf-8", "surrogatepass"))
        return page
