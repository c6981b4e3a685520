"""Clauses of the promotion rule beside the gain: what a challenger may lose, and how much."""

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np

from components.evaluation.bootstrap import Rivals
from components.evaluation.intervals import Interval
from components.inference.attribution import MOST_INPUTS
from components.promotion.gates import Gate, Loss, loss
from components.promotion.scores import Scores
from components.promotion.unknown import Common
from components.promotion.verdict import Check
from components.robustness.results import CorruptionCurve, Robustness
from components.targets.metrics import higher_is_better

CALIBRATION = "calibration_error"  # every kind of target has one, in points of probability
Subsets = Sequence[tuple[str, ...]]


def losing_subsets(asked: Subsets, new: Sequence[str], old: Sequence[str]) -> Subsets:
    """Select the subsets of shared inputs that are no comparison of all inputs, which the gain is."""
    return [subset for subset in asked if not set(subset) == set(new) == set(old)]


def rivals_on(shared: Common, new: Scores, old: Scores, inputs: Sequence[str] | None = None) -> Rivals:
    """Pair both models' predictions of the rows on which they are compared, from some inputs or from all."""
    target, rows = shared.target, shared.rows
    a, b = (each.of(target, inputs)[rows] for each in (new, old))
    return Rivals(target, shared.values[rows], a, b, None if shared.parts is None else shared.parts[rows])


def subset_check(
    gate: Gate, shared: Common, new: Scores, old: Scores, asked: Subsets, name: str, bound: float
) -> Check:
    """Test the subset of shared inputs in which the challenger loses most, both given only those inputs."""
    title = "loss in the worst subset"
    checks = []
    for subset in losing_subsets(asked, new.inputs, old.inputs):
        lost = gate.measure(rivals_on(shared, new, old, subset), name)
        checks.append(gate.check(title, lost, bound, f"{name}, {' + '.join(subset)} alone"))
    checks = [check for check in checks if check.measured]
    if not checks:
        note = f"no subset of up to {MOST_INPUTS} shared inputs to compare"
        return Check(title, math.nan, bound, True, note)
    return max(checks, key=lambda check: (not check.passed, check.undecided, check.found))


def calibration_check(gate: Gate, shared: Common, new: Scores, old: Scores, bound: float) -> Check:
    """Test by how much the calibration error grew; every kind of target has its own."""
    lost = gate.measure(rivals_on(shared, new, old), CALIBRATION)
    return gate.check("loss of calibration", lost, bound, f"growth of the {CALIBRATION}, without noise")


def robustness_checks(
    gate: Gate,
    bound: float,
    new: Robustness | None,
    old: Robustness | None,
    unmeasured: str | None = None,
) -> Iterator[Check]:
    """Compare the recorded curves: each model's own sample of its own run's test rows.

    A challenger whose measurement failed does not pass where the champion has curves to compare with.
    """
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
    before = {_kind_of(curve): curve for curve in old.corruptions}
    after = {_kind_of(curve): curve for curve in new.corruptions}
    shared = [kind for kind in after if kind in before]
    if shared:
        means = [float(np.mean([curves[kind].relative for kind in shared])) for curves in (before, after)]
        errors = [
            _error([level.delivered for kind in shared for level in curves[kind].levels], each.confidence)
            for curves, each in ((before, old), (after, new))
        ]
        note = f"mean {name} under {len(shared)} kinds of damage, recorded by each model's run"
        yield gate.check("loss under damage", _loss_between(name, means, errors), bound, note)
    if new.half is not None and old.half is not None and new.half.rate == old.half.rate:
        masked = [each.half.masked for each in (old, new) if each.half is not None]
        errors = [_error([each], model.confidence) for each, model in zip(masked, (old, new), strict=True)]
        note = f"{name} with {new.half.rate:.0%} of the inputs gone, recorded by each model's run"
        lost = _loss_between(name, [each.value for each in masked], errors)
        yield gate.check("loss under missing inputs", lost, bound, note)


def _loss_between(name: str, values: Sequence[float], errors: Sequence[float]) -> Loss:
    """Compare the champion's and the challenger's record, as if of different rows."""
    error = math.hypot(*errors) / (1.0 if higher_is_better(name) else max(abs(values[0]), 1e-12))
    return Loss(float(loss(name, *values)), error)


def _error(intervals: Sequence[Interval], confidence: float) -> float:
    """Estimate the standard error of a mean of values on the same rows, from their intervals."""
    reach = 2 * NormalDist().inv_cdf((1 + confidence) / 2)
    return float(np.mean([each.high - each.low for each in intervals])) / reach


def _kind_of(curve: CorruptionCurve) -> tuple[str, str, tuple[int, ...]]:
    """Curves are compared where input, damage and severities are the same."""
    return curve.input, curve.corruption, tuple(level.severity for level in curve.levels)


def further_check(
    gate: Gate, name: str, shared: Common | None, new: Scores, old: Scores, bound: float, most_unknown: float
) -> Check:
    """Test what is lost in a target that is learned beside the primary one."""
    title = f"loss in {name}"
    if shared is None:
        return Check(title, math.nan, bound, True, "the champion does not predict it")
    if shared.share > most_unknown:
        return Check(title, math.nan, bound, False, shared.note)
    if not shared.rows.any():
        return Check(title, math.nan, bound, True, "no test row has it")
    metric = shared.target.metric
    return gate.check(title, gate.measure(rivals_on(shared, new, old), metric), bound, metric)
