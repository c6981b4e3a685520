"""Decision on a challenger: it and the champion on the same test rows, by a rule of several clauses."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.config.pipeline import PipelineConfig
from components.config.promotion import PromotionConfig
from components.data.examples import as_table
from components.data.samples import open_samples_table
from components.data.spelling import Spelling, typed
from components.evaluation.bootstrap import paired_gain
from components.evaluation.shapley import subsets
from components.inference.attribution import MOST_INPUTS
from components.inference.predictor import Predictor, prediction_columns, predictions_of
from components.promotion.unknown import Common, common, spelled_as
from components.promotion.verdict import Check, Verdict
from components.references import Dataset
from components.robustness.results import CorruptionCurve, Robustness
from components.seeding import seed_of
from components.targets import AnyTarget, Classification
from components.targets.collection import cells_of
from components.targets.metrics import higher_is_better, metric
from components.targets.target import FloatArray

_BATCH = 128  # rows whose embeddings are held at once
CALIBRATION = "calibration_error"  # every kind of target has one, in points of probability

FIRST = Verdict(True, "first model under this name")


@dataclass(frozen=True)
class Rival:
    """One of the two models.

    Attributes:
        bundle: Its folder.
        name: What to call it.
        robustness: Its recorded curves; None where they were not measured.
        unmeasured: Failure of the measurement of robustness; None where it went well or was not asked for.
    """

    bundle: Path
    name: str
    robustness: Robustness | None = None
    unmeasured: str | None = None


@dataclass(frozen=True)
class Scores:
    """Columns of predictions of the test rows, by the inputs that the model was given."""

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    predictions: Mapping[tuple[str, ...], pd.DataFrame]

    def of(self, target: AnyTarget, inputs: Sequence[str] | None = None) -> FloatArray:
        """Predictions (N, P) of a target that the model knows."""
        chosen = self.inputs if inputs is None else tuple(inputs)
        scores = predictions_of(target, self.predictions[chosen], several=len(self.targets) > 1)  # (N, P)
        if isinstance(target, Classification):  # the model may not know all classes
            scores = np.clip(scores, 1e-12, None)
            scores = scores / scores.sum(axis=1, keepdims=True)
        return scores


def compare(dataset: Dataset, challenger: Rival, champion: Rival, config: PipelineConfig) -> Verdict:
    """Score both models on the same test rows and apply the challenger's rule.

    A loss in a metric that rises with quality is in points of it; in one that falls (an error), it is the
    share by which the error grew.

    Args:
        dataset: Reference to the samples.
        challenger: What may become champion.
        champion: What is champion.
        config: The challenger's pipeline, whose promotion rule holds.
    """
    rule = config.promotion
    samples = open_samples_table(dataset).split("test", list(config.inputs), values=True)
    by_subset = rule.max_subset_loss is not None
    table = as_table(samples, config.inputs)
    new_model = Predictor(challenger.bundle, config.engine.device)
    old_model = Predictor(champion.bundle, config.engine.device)
    targets = new_model.bundle.delivered.targets
    if targets.primary.name not in [known.name for known in old_model.bundle.delivered.targets]:
        reason = f"{champion.name} does not predict {targets.primary.name!r}"
        return Verdict(True, reason, champion=champion.name)
    spellings = {target.name: new_model.bundle.spelling(target.name) for target in targets}
    known = {
        target.name: spelled_as(target, spellings[target.name])
        for target in old_model.bundle.delivered.targets
        if target.name in spellings
    }
    shared_targets = {}
    for target in targets:
        if target.name in known:
            cells = cells_of(samples, target.name)
            words = [new_model.bundle.target_cell(target.name, typed(cell)) for cell in cells]
            shared_targets[target.name] = common(target, words, known[target.name])
    deciding = shared_targets[targets.primary.name]
    unknown = deciding.check(rule.max_unknown)
    if not unknown.passed or not deciding.rows.any():
        reason = (
            f"not comparable with {champion.name}: {deciding.share:.0%} of the test rows have classes that "
            f"it does not know, promotion.max_unknown is {rule.max_unknown:.0%} ({unknown.note}). "
            "Decide by hand (braid promote --force), or raise the bound"
        )
        return Verdict(False, reason, None, (unknown,), champion.name)
    shared = [each for each in new_model.inputs if each in old_model.inputs] if by_subset else []
    asked = subsets(shared) if 0 < len(shared) <= MOST_INPUTS else []
    old, new = (_score(model, table, asked, spellings) for model in (old_model, new_model))

    target, values, rows = deciding.target, deciding.values, deciding.rows
    name = rule.metric or target.metric
    gain = paired_gain(
        target,
        values[rows],
        new.of(target)[rows],
        old.of(target)[rows],
        name,
        config.evaluation.bootstrap,
        rule.confidence,
        seed_of(config.seed, "promotion"),
    )
    won = gain.low > rule.min_gain
    checks = [Check("gain", gain.low, rule.min_gain, won, f"{name}, low end of the paired interval")]
    if deciding.unknown:
        checks.append(unknown)
    if rule.max_subset_loss is not None:
        checks.append(subset_check(target, values, rows, new, old, asked, name, rule.max_subset_loss))
    checks += calibration_check(rule, target, values, rows, new, old)
    checks += robustness_checks(rule, challenger.robustness, champion.robustness, challenger.unmeasured)
    if rule.max_further_loss is not None:
        for other in targets.each[1:]:
            checks.append(further_check(other.name, shared_targets.get(other.name), new, old, rule))
    reason = (
        f"{name} {'better' if won else 'not shown to be better'} than {champion.name} on the same "
        f"{rows.sum()} test rows: gain {gain.value:+.4f}, {rule.confidence:.0%} interval "
        f"[{gain.low:+.4f}, {gain.high:+.4f}], required above {rule.min_gain:g}"
    )
    if deciding.unknown:
        reason += f"; {deciding.share:.0%} of the test rows are left out, as {deciding.note}"
    broken = [check for check in checks[1:] if not check.passed]
    if broken:
        objections = "; ".join(
            f"{check.name} {check.found:.4f} exceeds {check.bound:g} ({check.note})"
            if check.measured
            else f"{check.name} could not be measured ({check.note})"
            for check in broken
        )
        reason += f"; {'but ' if won else ''}{objections}"
    return Verdict(won and not broken, reason, gain, tuple(checks), champion.name)


def loss(name: str, champion: float, challenger: float) -> float:
    """Measure how much worse the challenger is: in points of a metric that rises, in shares of an error."""
    if higher_is_better(name):
        return champion - challenger
    return (challenger - champion) / max(abs(champion), 1e-12)


def _score(
    model: Predictor,
    table: pd.DataFrame,
    asked: Sequence[tuple[str, ...]],
    spellings: Mapping[str, Spelling],
) -> Scores:
    """Score all rows with all inputs and with each of the subsets; every file is read once."""
    names, delivered = tuple(model.inputs), model.bundle.delivered
    parts: dict[tuple[str, ...], list[pd.DataFrame]] = {}
    for start in range(0, len(table), _BATCH):
        batch = table.iloc[start : start + _BATCH]
        embeddings = model.embed(model.read(batch))
        present = embeddings.present.cpu().numpy()
        for subset in dict.fromkeys([names, *asked]):
            answered = np.asarray(present[:, [names.index(name) for name in subset]].any(axis=1))
            columns: dict[str, object] = {}
            for target in delivered.targets:
                predictions = delivered.predict(target, embeddings, subset).numpy()
                quantiles = delivered.quantiles(target, embeddings, subset)
                prefix = f"{target.name}_" if len(delivered.targets) > 1 else ""
                named = spelled_as(target, spellings.get(target.name, Spelling()))
                own = prediction_columns(named, predictions, quantiles, answered)
                columns |= {f"{prefix}{column}": cells for column, cells in own.items()}
            parts.setdefault(subset, []).append(pd.DataFrame(columns))
    by_subset = {subset: pd.concat(frames, ignore_index=True) for subset, frames in parts.items()}
    return Scores(names, tuple(target.name for target in delivered.targets), by_subset)


def subset_check(
    target: AnyTarget,
    values: FloatArray,
    rows: NDArray[np.bool_],
    new: Scores,
    old: Scores,
    asked: Sequence[tuple[str, ...]],
    name: str,
    bound: float,
) -> Check:
    """The subset of shared inputs in which the challenger loses most, both given only those inputs."""
    losses = {
        subset: loss(
            name,
            metric(target, name, values[rows], old.of(target, subset)[rows]),
            metric(target, name, values[rows], new.of(target, subset)[rows]),
        )
        for subset in asked
        if not set(subset) == set(new.inputs) == set(old.inputs)
    }
    losses = {subset: each for subset, each in losses.items() if math.isfinite(each)}
    if not losses:
        note = f"no subset of up to {MOST_INPUTS} shared inputs to compare"
        return Check("loss in the worst subset", math.nan, bound, True, note)
    worst = max(losses, key=lambda subset: losses[subset])
    return _bounded("loss in the worst subset", losses[worst], bound, f"{name}, {' + '.join(worst)} alone")


def calibration_check(
    rule: PromotionConfig,
    target: AnyTarget,
    values: FloatArray,
    rows: NDArray[np.bool_],
    new: Scores,
    old: Scores,
) -> Iterator[Check]:
    """By how much the calibration error grew; every kind of target has its own."""
    if rule.max_calibration_loss is None:
        return
    before, after = (
        metric(target, CALIBRATION, values[rows], scores.of(target)[rows]) for scores in (old, new)
    )
    note = f"{CALIBRATION} {after:.4f}, champion's {before:.4f}"
    yield _bounded("loss of calibration", after - before, rule.max_calibration_loss, note)


def robustness_checks(
    rule: PromotionConfig, new: Robustness | None, old: Robustness | None, unmeasured: str | None = None
) -> Iterator[Check]:
    """Compare the recorded curves: each model's own sample of its own run's test rows.

    A challenger whose measurement failed does not pass where the champion has curves to compare with.
    """
    bound = rule.max_robustness_loss
    if bound is None:
        return
    if unmeasured is not None and old is not None:
        yield Check("loss of robustness", math.nan, bound, False, unmeasured)
        return
    if new is None or old is None or new.metric != old.metric:
        without = " and ".join(
            who for who, curves in (("challenger", new), ("champion", old)) if curves is None
        )
        note = f"no curves recorded for the {without}" if without else "curves of different metrics"
        yield Check("loss of robustness", math.nan, bound, True, note)
        return
    name = new.metric
    before = {_kind_of(curve): curve.relative for curve in old.corruptions}
    after = {_kind_of(curve): curve.relative for curve in new.corruptions}
    shared = [kind for kind in after if kind in before]
    if shared:
        means = [float(np.mean([curves[kind] for kind in shared])) for curves in (before, after)]
        note = f"mean {name} under {len(shared)} kinds of damage, recorded by each model's run"
        yield _bounded("loss under damage", loss(name, *means), bound, note)
    if new.half is not None and old.half is not None and new.half.rate == old.half.rate:
        half_loss = loss(name, old.half.masked.value, new.half.masked.value)
        note = f"{name} with {new.half.rate:.0%} of the inputs gone, recorded by each model's run"
        yield _bounded("loss under missing inputs", half_loss, bound, note)


def _kind_of(curve: CorruptionCurve) -> tuple[str, str, tuple[int, ...]]:
    """Curves are compared where input, damage and severities are the same."""
    return curve.input, curve.corruption, tuple(level.severity for level in curve.levels)


def further_check(name: str, shared: Common | None, new: Scores, old: Scores, rule: PromotionConfig) -> Check:
    """Measure what is lost in a target that is learned beside the primary one."""
    bound = float(rule.max_further_loss or 0)
    title = f"loss in {name}"
    if shared is None:
        return Check(title, math.nan, bound, True, "the champion does not predict it")
    if shared.share > rule.max_unknown:
        return Check(title, math.nan, bound, False, shared.note)
    if not shared.rows.any():
        return Check(title, math.nan, bound, True, "no test row has it")
    target, rows = shared.target, shared.rows
    before, after = (
        metric(target, target.metric, shared.values[rows], scores.of(target)[rows]) for scores in (old, new)
    )
    note = f"{target.metric} {after:.4f}, champion's {before:.4f}"
    return _bounded(title, loss(target.metric, before, after), bound, note)


def _bounded(name: str, value: float, bound: float, note: str) -> Check:
    return Check(name, value, bound, math.isnan(value) or value <= bound + 1e-9, note)
