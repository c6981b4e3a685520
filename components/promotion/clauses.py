"""Clauses of the promotion rule beside the gain: what a challenger may lose, and how much."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from components.config.promotion import PromotionConfig
from components.inference.attribution import MOST_INPUTS
from components.promotion.scores import Scores
from components.promotion.unknown import Common
from components.promotion.verdict import Check
from components.robustness.results import CorruptionCurve, Robustness
from components.targets import AnyTarget
from components.targets.metrics import higher_is_better, metric
from components.targets.target import FloatArray

CALIBRATION = "calibration_error"  # every kind of target has one, in points of probability


def loss(name: str, champion: float, challenger: float) -> float:
    """Measure how much worse the challenger is: in points of a metric that rises, in shares of an error."""
    if higher_is_better(name):
        return champion - challenger
    return (challenger - champion) / max(abs(champion), 1e-12)


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
