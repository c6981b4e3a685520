"""The steps of a retraining: the one text that flows, sweeps, students, benchmarks and tests run."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from components.config import PipelineConfig
from components.config.fusion import LateConfig
from components.models.encoders import needs_fit
from components.pipeline.folds import number_of_folds
from components.pipeline.fuse import fused_model
from components.pipeline.package import SelectionRows, package_model
from components.pipeline.plain import Parts, PlainSteps, Retrained
from components.references import Dataset, Features, FusedModel, OutOfFold, Single
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
        dataset, prepared, singles, features, parts.unseen, parts.fused, parts.fused_folds, aligned
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
    names = list(config.inputs)
    dataset = steps.wait(steps.ingest())
    prepared = {name: steps.preprocess(dataset, name) for name in names}
    is_aligned_first = config.alignment is not None and config.alignment.use == "pretraining"
    pretrained = steps.pretrain(dataset, prepared) if is_aligned_first else None
    encoders = {name: steps.fit(dataset, prepared[name], name, pretrained) for name in names}
    features = {name: steps.extract(dataset, prepared[name], encoders[name], name) for name in names}
    singles = {
        # A fit has trained encoder and head; a frozen encoder is given its head now.
        name: cast(Single, encoders[name])
        if needs_fit(config.inputs[name].encoder)
        else steps.probe(dataset, features[name], name)
        for name in names
    }
    folds = [Fold(number, count) for count in [number_of_folds(config, dataset)] for number in range(count)]
    unseen = {}
    for name in names if folds else ():
        fits = [
            cast(Single, steps.fit(dataset, prepared[name], name, pretrained, fold, singles[name]))
            if needs_fit(config.inputs[name].encoder)
            else steps.probe(dataset, features[name], name, fold)
            for fold in folds
        ]
        unseen[name] = steps.cross_fit(dataset, prepared[name], features[name], fits, name)
    return Parts(dataset, prepared, pretrained, encoders, features, singles, unseen, folds)


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
        if not config.joint_epochs:
            return parts
    joint = steps.joint(dataset, prepared, parts.features, parts.singles, staged, parts.pretrained)
    settle(steps, parts)
    trained, encoders = steps.wait(joint)
    extracted = {
        name: steps.extract(dataset, prepared[name], weights, name, " joint")
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
    for fused in parts.fused_folds:
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
        config,
        steps.bundle,
    )
    return BuiltModel(**vars(parts), config=config, folder=folder, bundle=steps.bundle, selection=selection)
