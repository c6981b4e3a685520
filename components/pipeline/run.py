"""The steps of a retraining: the one text that flows, sweeps, students, benchmarks and tests run."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from components.config import PipelineConfig
from components.config.fusion import LateConfig
from components.models.encoders import needs_fit
from components.pipeline.folds import has_trees_beside, number_of_folds
from components.pipeline.fuse import fused_model
from components.pipeline.learners import first_of_each, learners_of
from components.pipeline.package import SelectionRows, package_model
from components.pipeline.plain import Parts, PlainSteps, Retrained
from components.references import Combined, Dataset, Features, FusedModel, Learner, OutOfFold, Single
from components.training.folds import Fold


def retrain(steps: PlainSteps, config: PipelineConfig) -> Retrained:
    """Train a model, measure it, and decide whether it replaces the champion.

    Promotion comes after every measurement, so that nothing which fails later contradicts the registry.

    Args:
        steps: Runs each step: here and now, or as a task of a flow.
        config: The pipeline.
    """
    parts = train(steps, config)
    dataset, prepared, features, singles = parts.dataset, parts.prepared, parts.features, parts.singles
    aligned = steps.align(dataset, parts.fused) if config.alignment is not None else None
    evaluation = steps.evaluate(
        dataset,
        prepared,
        singles,
        features,
        parts.unseen,
        parts.fused,
        parts.fused_folds,
        parts.trees,
        aligned,
    )
    optional: dict[str, Any] = {}
    if config.alignment is not None:
        optional["retrieval"] = steps.attempt("retrieval", steps.retrieval, dataset, parts.fused, aligned)
    if config.evaluation.robustness.rows:
        optional["robustness"] = steps.attempt("robustness", steps.robustness, dataset, evaluation)
    if config.evaluation.explanations.samples:
        optional["explain"] = steps.attempt("explain", steps.explain, dataset, evaluation)
    if config.audit.rows:
        optional["audit"] = steps.attempt("audit", steps.audit, dataset, prepared, features, evaluation)
    steps.wait(aligned)
    steps.wait(evaluation)
    optional = steps.wait(optional)
    promotion = steps.wait(steps.promote(dataset, evaluation, optional.get("robustness")))
    report = steps.wait(steps.attempt("report", steps.report, dataset, evaluation, promotion, optional))
    return Retrained(parts, steps.wait(evaluation), optional, promotion, report)


def train(steps: PlainSteps, config: PipelineConfig) -> Parts:
    """Train each input on its own, then their fusion; wait for both.

    Args:
        steps: Runs each step.
        config: The pipeline.
    """
    parts = unimodal(steps, config)
    parts = fuse(steps, config, parts)
    settle(steps, parts)
    return parts


def unimodal(steps: PlainSteps, config: PipelineConfig) -> Parts:
    """Go from the manifest to features and a fit of each input, and to what fits without each fold say.

    Args:
        steps: Runs each step.
        config: The pipeline.
    """
    dataset = steps.wait(steps.ingest())
    learners = learners_of(config, dataset)
    parts = fit_each(steps, config, dataset, learners)
    by_input = {name: [each for each in learners if each.input == name] for name in config.inputs}
    if all(len(each) == 1 for each in by_input.values()):
        return parts
    settle(steps, parts)  # what is combined has to be known: inputs need not keep all of their learners
    combined = {
        name: steps.combine(
            dataset,
            each,
            [parts.prepared[learner.label] for learner in each],
            [parts.features[learner.label] for learner in each],
            [parts.singles[learner.label] for learner in each],
            [parts.unseen.get(learner.label) for learner in each],
        )
        for name, each in by_input.items()
        if len(each) > 1
    }
    return with_combined(parts, steps.wait(combined), list(config.inputs))


def fit_each(
    steps: PlainSteps, config: PipelineConfig, dataset: Dataset, learners: Sequence[Learner]
) -> Parts:
    """Prepare, fit, extract and cross-fit every learner; the parts are by label.

    Args:
        steps: Runs each step.
        config: The pipeline.
        dataset: The samples.
        learners: Those of all inputs.
    """
    alike = first_of_each(config, learners)
    made = {each.label: steps.preprocess(dataset, each) for each in learners if alike[each.label] is each}
    prepared = {label: made[first.label] for label, first in alike.items()}
    is_aligned_first = config.alignment is not None and config.alignment.use == "pretraining"
    pretrained = steps.pretrain(dataset, prepared) if is_aligned_first else None
    encoders = {each.label: steps.fit(dataset, prepared[each.label], each, pretrained) for each in learners}
    features = {
        label: steps.extract(dataset, prepared[label], encoder, label) for label, encoder in encoders.items()
    }
    singles = {
        # A fit has trained encoder and head; a frozen encoder is given its head now.
        each.label: cast(Single, encoders[each.label])
        if needs_fit(each.options)
        else steps.probe(dataset, features[each.label], each)
        for each in learners
    }
    count = number_of_folds(config, dataset, len(learners))
    folds = [Fold(number, count) for number in range(count)]
    unseen = {}
    for each in learners if folds else ():
        label = each.label
        fits = [
            cast(Single, steps.fit(dataset, prepared[label], each, pretrained, fold, singles[label]))
            if needs_fit(each.options)
            else steps.probe(dataset, features[label], each, fold)
            for fold in folds
        ]
        unseen[label] = steps.cross_fit(dataset, prepared[label], features[label], fits, each)
    return Parts(dataset, prepared, pretrained, encoders, features, singles, unseen, folds)


def with_combined(parts: Parts, combined: dict[str, Combined], names: Sequence[str]) -> Parts:
    """Give the parts by input: of an input with several learners, their combination.

    Args:
        parts: By label of the learners.
        combined: By name of the inputs that have several.
        names: All inputs.
    """
    prepared = {name: each.prepared for name, each in combined.items()}
    features = {name: each.features for name, each in combined.items()}
    singles = {name: each.single for name, each in combined.items()}
    unseen = {name: each.unseen for name, each in combined.items() if each.unseen is not None}

    def by_input(own: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
        every = {**own, **theirs}
        return {name: every[name] for name in names if name in every}

    return replace(
        parts,
        prepared=by_input(parts.prepared, prepared),
        encoders=by_input(parts.encoders, singles),
        features=by_input(parts.features, features),
        singles=by_input(parts.singles, singles),
        unseen=by_input(parts.unseen, unseen),
    )


def fuse(steps: PlainSteps, config: PipelineConfig, parts: Parts) -> Parts:
    """Train the fusion on cached features, and with the encoders where the configuration asks for it.

    Args:
        steps: Runs each step.
        config: The pipeline.
        parts: Each input on its own.

    Returns:
        The parts with their fusion; without one where there is a single input.
    """
    if len(config.inputs) == 1:
        return parts
    dataset, prepared = parts.dataset, parts.prepared
    staged = None
    if config.strategy == "staged":
        learned = dataset, parts.features, parts.singles, parts.unseen
        staged = steps.fuse(*learned)
        fused_folds = fuse_folds(steps, config, *learned, parts.folds, staged)
        parts = replace(parts, fused=staged, fused_folds=fused_folds)
        if has_trees_beside(config, dataset, len(parts.folds)):
            trees = steps.boost(*learned)
            parts = replace(
                parts, trees=[trees, *(steps.boost(*learned, fold, trees) for fold in parts.folds)]
            )
        if not config.joint_epochs:
            return parts
    joint = steps.joint(dataset, prepared, parts.features, parts.singles, staged, parts.pretrained)
    settle(steps, parts)
    trained, encoders = steps.wait(joint)
    extracted = {
        name: steps.extract(dataset, prepared[name], weights, f"{name} joint")
        for name, weights in encoders.items()
    }
    return replace(parts, fused=fused_model(trained, steps.wait(extracted), joint=True))


def fuse_folds(
    steps: PlainSteps,
    config: PipelineConfig,
    dataset: Dataset,
    features: dict[str, Features],
    singles: dict[str, Single],
    unseen: dict[str, OutOfFold],
    folds: Sequence[Fold],
    fused: FusedModel,
) -> list[FusedModel]:
    """Train a fusion again without each fold; a late fusion is pooled in no time where its rows are read.

    Args:
        steps: Runs each step.
        config: The pipeline.
        dataset, features, singles, unseen, folds: See :class:`components.pipeline.steps.Parts`.
        fused: The fusion trained on all folds.
    """
    if isinstance(config.fusion, LateConfig):
        return []
    return [steps.fuse(dataset, features, singles, unseen, fold, fused) for fold in folds]


def settle(steps: PlainSteps, parts: Parts) -> None:
    """Wait for the parts in the order of their steps, so that the step that failed reports the failure.

    A step after it would only report that something before it is missing.
    """
    steps.wait(parts.prepared)
    steps.wait(parts.pretrained)
    steps.wait(parts.encoders)
    steps.wait(parts.features)
    steps.wait(parts.singles)
    steps.wait(parts.unseen)
    steps.wait(parts.fused)
    for fused in (*parts.fused_folds, *parts.trees):
        steps.wait(fused)


@dataclass(frozen=True)
class BuiltModel(Parts):
    """A packaged model beside the parts that it is made of.

    Attributes:
        config: The pipeline.
        folder: Folder of caches, samples and bundle.
        bundle: Folder of the packaged model.
        selection: Rows by which the model was chosen.
    """

    config: PipelineConfig = field(kw_only=True)
    folder: Path = field(kw_only=True)
    bundle: Path = field(kw_only=True)
    selection: SelectionRows = field(kw_only=True)


def build_model(
    config: PipelineConfig, folder: Path, base: Path, data: str = "data", bundle: str = "bundle"
) -> BuiltModel:
    """Train and package a model, without an evaluation; arguments as of :class:`PlainSteps`."""
    steps = PlainSteps(config, folder, base, data, bundle)
    parts = train(steps, config)
    selection = package_model(
        parts.dataset,
        parts.prepared,
        parts.singles,
        parts.features,
        parts.unseen,
        parts.fused,
        parts.fused_folds,
        parts.trees,
        config,
        steps.bundle,
    )
    return BuiltModel(**vars(parts), config=config, folder=folder, bundle=steps.bundle, selection=selection)
