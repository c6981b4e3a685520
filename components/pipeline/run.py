"""The steps of a retraining: the one text that flows, sweeps, students, benchmarks and tests run."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from components.config import PipelineConfig
from components.config.fusion import LateConfig
from components.models.encoders import needs_fit
from components.pipeline.budget import Budget, is_trained_in_epochs, late_instead
from components.pipeline.combine import Fitted
from components.pipeline.folds import gives_rows_back, has_trees_beside, number_of_folds
from components.pipeline.fuse import fused_model
from components.pipeline.learners import first_of_each, learners_of
from components.pipeline.package import SelectionRows, package_model
from components.pipeline.parts import Parts
from components.pipeline.plain import PlainSteps, Retrained
from components.references import (
    Combined,
    Dataset,
    Features,
    FusedModel,
    Learner,
    LeftOut,
    OutOfFold,
    Prepared,
    Single,
    Worth,
)
from components.training.folds import Fold

Value = TypeVar("Value")


def retrain(steps: PlainSteps, config: PipelineConfig, dataset: Dataset) -> Retrained:
    """Train a model, measure it, and decide whether it replaces the champion.

    Promotion comes after every measurement, so that nothing which fails later contradicts the registry.

    Args:
        steps: Runs each step: here and now, or as a task of a flow.
        config: The pipeline.
        dataset: The samples.
    """
    budget = Budget(config, steps.began, steps.lanes)
    parts = train(steps, config, dataset, budget)
    config, steps = parts.config, steps.with_config(parts.config)
    prepared, features, singles = parts.prepared, parts.features, parts.singles
    aligned = None
    if config.alignment is not None:
        aligned = steps.within(budget.until(budget.training_ends(dataset))).align(dataset, parts.fused)
        if budget.lacks(steps.wait, alignment=aligned):
            aligned = None
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
    if budget.is_limited:
        steps.wait(evaluation)  # what is optional gets the time that is left
    in_time = steps.within(budget.optional())
    optional: dict[str, Any] = {}
    if aligned is not None:
        optional["retrieval"] = steps.attempt("retrieval", in_time.retrieval, dataset, parts.fused, aligned)
    if config.evaluation.robustness.rows:
        optional["robustness"] = steps.attempt("robustness", in_time.robustness, dataset, evaluation)
    if config.evaluation.explanations.samples:
        optional["explain"] = steps.attempt("explain", in_time.explain, dataset, evaluation)
    if config.audit.rows:
        optional["audit"] = steps.attempt("audit", in_time.audit, dataset, prepared, features, evaluation)
    steps.wait(aligned)
    steps.wait(evaluation)
    optional = steps.wait(optional)
    promotion = steps.wait(steps.promote(dataset, evaluation, optional.get("robustness")))
    shown = {**{each.step: each for each in budget.left_out}, **optional}
    report = steps.wait(steps.attempt("report", steps.report, dataset, evaluation, promotion, shown))
    return Retrained(parts, steps.wait(evaluation), optional, promotion, report, tuple(budget.left_out))


def train(steps: PlainSteps, config: PipelineConfig, dataset: Dataset, budget: Budget | None = None) -> Parts:
    """Train each input on its own, then their fusion, and both again with validation rows; wait for all.

    Args:
        steps: Runs each step.
        config: The pipeline.
        dataset: The samples.
        budget: Time of the run; None for as long as it takes.
    """
    budget = budget or Budget.endless(config)
    parts = unimodal(steps, config, dataset, budget)
    parts = fuse(steps.with_config(parts.config), parts.config, parts, budget)
    settle(steps, parts)
    fused = steps.wait(parts.fused)
    if isinstance(fused, FusedModel) and not fused.training.is_complete:
        budget.left_out.append(LeftOut("fusion", f"the training ended after {fused.training.epochs} epochs"))
    return refit(steps.with_config(parts.config), parts.config, parts, budget)


def unimodal(
    steps: PlainSteps, config: PipelineConfig, dataset: Dataset, budget: Budget | None = None
) -> Parts:
    """Go from the samples to features and a fit of each input, and to what fits without each fold say.

    Args:
        steps: Runs each step.
        config: The pipeline.
        dataset: The samples.
        budget: Time of the run; None for as long as it takes.
    """
    budget = budget or Budget.endless(config)
    learners = learners_of(config, dataset)
    parts, learners = fit_in_rounds(steps, config, dataset, learners, budget)
    config, steps = parts.config, steps.with_config(parts.config)
    by_input = {name: [each for each in learners if each.input == name] for name in config.inputs}
    parts = with_learners(parts, by_input)
    several = {name: fitted for name, fitted in parts.learners.items() if len(fitted) > 1}
    if several:
        settle(steps, parts)  # what is combined has to be known: inputs need not keep all of their learners
    combined = {name: steps.combine(dataset, fitted) for name, fitted in several.items()}
    only = {each.label: name for name, (each, *more) in by_input.items() if not more}
    if not combined and all(label == name for label, name in only.items()):
        return parts
    return with_combined(parts, steps.wait(combined), only, list(config.inputs))


def fit_in_rounds(
    steps: PlainSteps, config: PipelineConfig, dataset: Dataset, learners: Sequence[Learner], budget: Budget
) -> tuple[Parts, list[Learner]]:
    """Fit the learners, in rounds where time is limited or the first decides about the others.

    Args:
        steps: Runs each step.
        config: The pipeline.
        dataset: The samples.
        learners: Those of all inputs.
        budget: Time of the run.

    Returns:
        The parts by label, and the learners that they are of, in the order of the file.
    """
    config = budget.folds_in_time(config, dataset, learners)
    steps = steps.with_config(config)
    rounds = budget.rounds(config, dataset, learners)
    parts = Parts(dataset, {}, None, {}, {}, {}, config=config)
    shared: dict[str, Prepared] = {}
    worths: dict[str, Worth] = {}
    for number, candidates in enumerate(rounds):
        if number == 1 and budget.chooses_by_worth(config, learners):
            worths = steps.wait(steps.worth(dataset, parts.features, parts.singles, parts.unseen))
        candidates = [each for each in candidates if each.input in config.inputs]
        candidates = budget.worthwhile(config, candidates, worths)
        admitted = budget.admitted(config, dataset, candidates, is_first=number == 0)
        if not admitted:
            continue
        started = time.time()
        parts = fit_each(steps, config, dataset, admitted, budget, parts, shared, learners)
        if budget.is_limited or len(rounds) > 1:
            parts = budget.settled(waited(steps, parts), admitted, config, is_first=number == 0)
            budget.measure(config, dataset, admitted, time.time() - started)
            config, steps = parts.config, steps.with_config(parts.config)
    return parts, [each for each in learners if each.label in parts.singles]


def fit_each(
    steps: PlainSteps,
    config: PipelineConfig,
    dataset: Dataset,
    learners: Sequence[Learner],
    budget: Budget,
    before: Parts,
    shared: dict[str, Prepared],
    every: Sequence[Learner],
) -> Parts:
    """Prepare, fit, extract and cross-fit some learners; the parts are by label.

    Args:
        steps: Runs each step.
        config: The pipeline.
        dataset: The samples.
        learners: Those to fit now.
        budget: Time of the run.
        before: Parts of the learners before.
        shared: Canonical samples by the learner that they were first made for; those made now are added.
        every: All learners of all inputs.
    """
    ends = budget.learners_end(config, dataset)
    in_time = steps.within(budget.until(ends))
    alike = first_of_each(config, every)
    for each in learners:
        first = alike[each.label]
        if first.label not in shared:
            shared[first.label] = in_time.preprocess(dataset, first)
    prepared = {each.label: shared[alike[each.label].label] for each in learners}
    is_aligned_first = config.alignment is not None and config.alignment.use == "pretraining"
    count = number_of_folds(config, dataset, len(every))
    in_share = steps.within(budget.until(ends, budget.share(learners, count, ends)))
    pretrained = in_share.pretrain(dataset, prepared) if is_aligned_first else None
    if budget.lacks(steps.wait, pretraining=pretrained):
        pretrained = None
    encoders = {
        each.label: (in_share if is_trained_in_epochs(each) else in_time).fit(
            dataset, prepared[each.label], each, pretrained
        )
        for each in learners
    }
    after = steps.within(budget.until(budget.training_ends(dataset)))  # a fit without features is lost
    features = {
        label: after.extract(dataset, prepared[label], encoder, label) for label, encoder in encoders.items()
    }
    singles = {
        # A fit has trained encoder and head; a frozen encoder is given its head now.
        each.label: cast(Single, encoders[each.label])
        if needs_fit(each.options)
        else in_time.probe(dataset, features[each.label], each)
        for each in learners
    }
    folds = [Fold(number, count) for number in range(count)]
    unseen = {}
    for each in learners if folds else ():
        label = each.label
        fits = [
            cast(Single, in_time.fit(dataset, prepared[label], each, pretrained, fold, singles[label]))
            if needs_fit(each.options)
            else in_time.probe(dataset, features[label], each, fold)
            for fold in folds
        ]
        unseen[label] = in_time.cross_fit(dataset, prepared[label], features[label], fits, each)
    return replace(
        before,
        prepared={**before.prepared, **prepared},
        pretrained=pretrained,
        encoders={**before.encoders, **encoders},
        features={**before.features, **features},
        singles={**before.singles, **singles},
        unseen={**before.unseen, **unseen},
        folds=folds,
    )


def with_learners(parts: Parts, by_input: dict[str, list[Learner]]) -> Parts:
    """Keep the learners of each input beside the parts, which are by label."""
    learners = {
        name: [
            Fitted(
                each,
                parts.prepared[each.label],
                parts.features[each.label],
                parts.singles[each.label],
                parts.unseen.get(each.label),
            )
            for each in own
        ]
        for name, own in by_input.items()
    }
    return replace(parts, learners=learners)


def with_combined(
    parts: Parts, combined: dict[str, Combined], only: dict[str, str], names: Sequence[str]
) -> Parts:
    """Give the parts by input: of an input with several learners, their combination.

    Args:
        parts: By label of the learners.
        combined: By name of the inputs that have several.
        only: Name of the input by label of its only learner.
        names: All inputs.
    """
    prepared = {name: each.prepared for name, each in combined.items()}
    features = {name: each.features for name, each in combined.items()}
    singles = {name: each.single for name, each in combined.items()}
    unseen = {name: each.unseen for name, each in combined.items() if each.unseen is not None}

    def by_input(own: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
        every = {only.get(label, label): each for label, each in own.items()} | theirs
        return {name: every[name] for name in names if name in every}

    return replace(
        parts,
        prepared=by_input(parts.prepared, prepared),
        encoders=by_input(parts.encoders, singles),
        features=by_input(parts.features, features),
        singles=by_input(parts.singles, singles),
        unseen=by_input(parts.unseen, unseen),
    )


def fuse(steps: PlainSteps, config: PipelineConfig, parts: Parts, budget: Budget) -> Parts:
    """Train the fusion on cached features, and with the encoders where the configuration asks for it.

    Args:
        steps: Runs each step.
        config: The pipeline.
        parts: Each input on its own.
        budget: Time of the run.

    Returns:
        The parts with their fusion; without one where there is a single input.
    """
    if len(config.inputs) == 1:
        return parts
    dataset, prepared = parts.dataset, parts.prepared
    ends = budget.training_ends(dataset)
    staged = None
    if config.strategy == "staged":
        learned = dataset, parts.features, parts.singles, parts.unseen
        in_time = steps.within(budget.until(ends, budget.share_of_fusion(parts.folds, ends)))
        staged = in_time.fuse(*learned)
        fused_folds = fuse_folds(in_time, config, *learned, parts.folds, staged)
        if budget.lacks(steps.wait, fusion=[staged, *fused_folds]):
            config = late_instead(config)
            staged, fused_folds = steps.with_config(config).fuse(*learned), []
        trees: list[FusedModel] = []
        if has_trees_beside(config, dataset, len(parts.folds)):
            first = in_time.boost(*learned)
            trees = [first, *(in_time.boost(*learned, fold, first) for fold in parts.folds)]
            if budget.lacks(steps.wait, trees=trees):
                trees = []
        parts = replace(parts, fused=staged, fused_folds=fused_folds, trees=trees, config=config)
        if not config.joint_epochs:
            return parts
    in_time = steps.within(budget.until(ends))
    joint = in_time.joint(dataset, prepared, parts.features, parts.singles, staged, parts.pretrained)
    settle(steps, parts)
    if budget.lacks(steps.wait, joint=joint):
        config = config.model_copy(update={"strategy": "staged", "joint_epochs": 0})
        if staged is None:
            config = late_instead(config)
            staged = steps.with_config(config).fuse(dataset, parts.features, parts.singles, parts.unseen)
        return replace(parts, fused=staged, config=config)
    trained, encoders = steps.wait(joint)
    extracted = {
        name: steps.extract(dataset, prepared[name], weights, f"{name} joint")
        for name, weights in encoders.items()
    }
    return replace(parts, fused=fused_model(trained, steps.wait(extracted), joint=True))


def refit(steps: PlainSteps, config: PipelineConfig, parts: Parts, budget: Budget) -> Parts:
    """Fit inputs and fusion again to training and validation rows, with all that was chosen without them.

    A late fusion pools the new heads by the weights that it has. A trained one, and trees, keep the encoders
    whose embeddings they learn from: these have not learned from validation rows.

    Args:
        steps: Runs each step.
        config: The pipeline.
        parts: Inputs and fusion, as values or stand-ins.
        budget: Time of the run; what has no time for it stays as it is.
    """
    if not gives_rows_back(config, bool(parts.folds)):
        return parts
    parts = replace(waited(steps, parts), fused=steps.wait(parts.fused), trees=steps.wait(list(parts.trees)))
    dataset, fused = parts.dataset, parts.fused
    in_time = steps.within(budget.until(budget.training_ends(dataset)))
    pending = {
        name: in_time.refit(dataset, parts.prepared[name], single, parts.learners[name])
        for name, single in parts.singles.items()
    }
    is_late = isinstance(config.fusion, LateConfig)
    first = dataset, parts.features, parts.singles, parts.unseen, None
    above = {}
    if fused is not None and not is_late:
        above["fusion"] = in_time.fuse(*first, fused)
    if parts.trees:
        above["trees"] = in_time.boost(*first, parts.trees[0])
    inputs, models = (_in_time(steps.wait(each), budget) for each in (pending, above))
    singles = {**parts.singles, **{name: each.single for name, each in inputs.items()}}
    features = {**parts.features, **{name: each.features for name, each in inputs.items()}}
    if is_late and fused is not None and not parts.trees:
        models["fusion"] = steps.wait(steps.fuse(dataset, features, singles, parts.unseen, None, fused))
    if fused is not None and "fusion" in models:
        fused = replace(models["fusion"], training=fused.training)
    trees = list(parts.trees)
    if "trees" in models:
        trees[0] = replace(models["trees"], training=trees[0].training)
    return replace(parts, singles=singles, features=features, fused=fused, trees=trees)


def _in_time(results: dict[str, Value], budget: Budget) -> dict[str, Value]:
    """Keep the results that are there; note the others."""
    return {
        name: each for name, each in results.items() if budget.has(**{f"{name} with validation rows": each})
    }


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
        dataset, features, singles, unseen, folds: See :class:`components.pipeline.parts.Parts`.
        fused: The fusion trained on all folds.
    """
    if isinstance(config.fusion, LateConfig):
        return []
    return [steps.fuse(dataset, features, singles, unseen, fold, fused) for fold in folds]


def waited(steps: PlainSteps, parts: Parts) -> Parts:
    """Give the parts of all inputs as values."""
    return replace(
        parts,
        prepared=steps.wait(parts.prepared),
        pretrained=steps.wait(parts.pretrained),
        encoders=steps.wait(parts.encoders),
        features=steps.wait(parts.features),
        singles=steps.wait(parts.singles),
        unseen=steps.wait(parts.unseen),
    )


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
        folder: Folder of caches, samples and bundle.
        bundle: Folder of the packaged model.
        selection: Rows by which the model was chosen.
    """

    folder: Path = field(kw_only=True)
    bundle: Path = field(kw_only=True)
    selection: SelectionRows = field(kw_only=True)


def build_model(
    config: PipelineConfig, folder: Path, base: Path, data: str = "data", bundle: str = "bundle"
) -> BuiltModel:
    """Train and package a model, without an evaluation; arguments as of :class:`PlainSteps`."""
    steps = PlainSteps(config, folder, base, data, bundle)
    parts = train(steps, config, steps.ingest())
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
    return BuiltModel(**vars(parts), folder=folder, bundle=steps.bundle, selection=selection)
