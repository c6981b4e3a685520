"""Intervals of metrics and of gains over test rows, by resampling them (Efron 1979)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from components.evaluation.intervals import Gain, Interval
from components.evaluation.replicates import Parts, Replicates, mean_replicates, replicate
from components.metrics.classification import BINNED, COUNTED, RANKED
from components.targets import higher_is_better
from components.targets.metrics import LOWER_IS_BETTER
from components.targets.target import FloatArray, Target

SHARES = (*COUNTED, *RANKED, "subset_accuracy", "hamming_loss", "within_one", "interval_coverage")
"""Metrics between 0 and 1 that behave like the share of right rows."""

# Rows × classes × resamples of ranked metrics, so that they take seconds on one core.
_RANKED_BUDGET = 1_000_000_000
_NO_ERROR_CORRELATION = 0.1  # between rows of a part, where no row is wrong and none can be estimated


def bootstrap_intervals(
    target: Target,
    values: ArrayLike,
    predictions: ArrayLike,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    names: Sequence[str] | None = None,
    parts: Parts | None = None,
) -> dict[str, Interval]:
    """Compute intervals of metrics.

    Two calls with the same N, parts, resamples and seed draw the same rows. Metrics that are not defined on
    the targets are omitted. A replicate on which a metric is not defined is ignored for it.

    - Metrics of :data:`SHARES` have the interval of Wilson 1927 for as many rows as their standard error is
      worth (Korn & Graubard 1998; for areas Kottas, Kuss & Zapf 2014). Near 0 and 1 quantiles of resamples
      are too narrow. Where every row is right, the low end is the exact binomial one (Clopper & Pearson
      1934), for rows of a part that are correlated by .1.
    - Other metrics have quantiles of the resamples, expanded for the number of parts (Hesterberg 2015,
      https://arxiv.org/abs/1411.5279, section 3.5), or with few parts Student's interval.
    - Calibration errors are sums of absolute values, so resampling noise raises them; their resamples are
      shifted down by their mean excess over the value.
    - roc_auc and average_precision use fewer resamples (at least 100) if
      N × C × resamples is above 1e9, to stay within about ten seconds.

    Args:
        values: (N, ...) as the target encodes them.
        predictions: (N, P).
        confidence: Level in (0, 1).
        names: Metrics of the target; None takes all.
        parts: (N,) number of the independent part of each row; None if every row is its own.
    """
    truth, given = target.check(values, predictions)
    names = target.metrics if names is None else names
    ranked = [name for name in names if name in RANKED]
    quick = [name for name in names if name not in RANKED]
    rows, few = len(truth), _affordable(given.size, resamples)
    made: dict[str, Replicates] = {}
    for chosen, number in ((quick, resamples), (ranked, few)):
        if chosen:
            made |= replicate(target.scorer(truth, given, chosen), rows, parts, number, seed)
    return {
        name: interval_of(name, made[name], confidence, rows)
        for name in names
        if np.isfinite(made[name].value) and len(made[name].defined)
    }


def interval_of(name: str, metric: Replicates, confidence: float, rows: int) -> Interval:
    """Choose the kind of interval for a metric; see :func:`bootstrap_intervals`."""
    if name in SHARES:
        return share_interval(metric.value, metric.error, metric.parts, confidence, rows)
    reach, value = metric.quantile(confidence), metric.value
    if metric.jackknife:
        low, high = value - reach * metric.error, value + reach * metric.error
    else:
        draws = metric.defined
        if name in BINNED:
            draws = draws - max(0.0, draws.mean() - value)
        tail = stats.norm.sf(reach * np.sqrt(metric.parts / (metric.parts - 1)))
        low, high = np.quantile(draws, [tail, 1 - tail])
    if name in LOWER_IS_BETTER and name != "log_loss":
        low = max(low, 0.0)
    return Interval(value, float(low), float(high))


def share_interval(share: float, error: float, parts: int, confidence: float, rows: int) -> Interval:
    """Compute the interval of Wilson 1927 of a share, for as many rows as its standard error is worth.

    Args:
        share: Share in [0, 1].
        error: Its standard error, which knows of the parts.
        parts: Number of independent parts, which gives the degrees of freedom.
        confidence: Level in (0, 1).
        rows: Number of rows, for a share of 0 or 1.
    """
    if not 0 < share < 1:
        worth = rows / (1 + _NO_ERROR_CORRELATION * (rows / parts - 1))
        bound = ((1 - confidence) / 2) ** (1 / worth)
        return Interval(share, bound, 1.0) if share > 0.5 else Interval(share, 0.0, 1 - bound)
    reach = float(stats.t.ppf((1 + confidence) / 2, parts - 1))
    square = reach**2 * error**2 / (share * (1 - share))  # reach² / rows that the error is worth
    centre = (share + square / 2) / (1 + square)
    half = np.sqrt(reach**2 * error**2 + square**2 / 4) / (1 + square)
    return Interval(share, float(max(centre - half, 0)), float(min(centre + half, 1)))


def mean_share(hits: np.ndarray, parts: Parts | None, confidence: float) -> Interval:
    """Compute the share of hits and its interval.

    Args:
        hits: (N,) or (N, L), each between 0 and 1; the L of a row hang together.
        parts: (N,) number of the independent part of each row; None if every row is its own.
        confidence: Level in (0, 1).
    """
    by_row = hits.reshape(len(hits), -1).mean(axis=1)
    numbers = np.arange(len(by_row)) if parts is None else np.unique(parts, return_inverse=True)[1]
    sums, sizes = np.bincount(numbers, by_row), np.bincount(numbers)
    count = len(sums)
    with np.errstate(invalid="ignore"):
        without = (sums.sum() - sums) / (sizes.sum() - sizes)  # (parts,)
    made = Replicates(float(by_row.mean()), without, count, jackknife=True)
    return share_interval(made.value, made.error, count, confidence, len(by_row))


def paired_gain(
    target: Target,
    values: ArrayLike,
    predictions_a: ArrayLike,
    predictions_b: ArrayLike,
    metric: str,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    parts: Parts | None = None,
) -> Gain:
    """Compute the gain of a over b on the same rows, both scored on the same replicates.

    The sign is such that positive means a is better, also where lower values are. Interval and two-sided
    p-value are Student's, for the standard error of the difference. All four are NaN, and the verdict
    'unclear', when the metric is not defined on these targets.

    Args:
        values: (N, ...) as the target encodes them.
        predictions_a: (N, P) of the challenger.
        predictions_b: (N, P) of its rival.
        resamples, confidence, seed, parts: See :func:`bootstrap_intervals`.
    """
    rivals = Rivals(target, values, predictions_a, predictions_b, parts)
    return mean_gain([rivals], metric, resamples, confidence, seed)


@dataclass(frozen=True)
class Rivals:
    """Predictions of two models for the same rows; attributes as in :func:`paired_gain`."""

    target: Target
    values: ArrayLike
    predictions_a: ArrayLike
    predictions_b: ArrayLike
    parts: Parts | None = None


def mean_gain(
    repetitions: Sequence[Rivals],
    metric: str,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Gain:
    """Average :func:`paired_gain` over repetitions of a training.

    Repetitions on equally many rows are scored on the same replicates: if they share
    the test rows, the chance of the rows must not average out.

    Args:
        repetitions: Predictions per seed of the training.
        metric, resamples, confidence, seed: See :func:`paired_gain`.
    """
    sign = 1.0 if higher_is_better(metric) else -1.0
    each = [
        paired_replicates(rivals, metric, lambda a, b: sign * (a - b), resamples, seed)
        for rivals in repetitions
    ]
    return gain_of(mean_replicates(each), confidence)


def gain_of(difference: Replicates, confidence: float) -> Gain:
    """Give a difference its interval and two-sided p-value by Student's t."""
    if not np.isfinite(difference.value) or not len(difference.defined):
        return Gain(float("nan"), float("nan"), float("nan"), float("nan"))
    # Sums in another order give 1e-17 for equal predictions, which is no gain.
    value, error = (0.0 if abs(each) < 1e-12 else each for each in (difference.value, difference.error))
    reach = difference.quantile(confidence) * error
    if error == 0:
        return Gain(value, value, value, float(value == 0))
    p_value = 2 * float(stats.t.sf(abs(value) / error, difference.parts - 1))
    return Gain(value, value - reach, value + reach, p_value)


def paired_replicates(
    rivals: Rivals,
    metric: str,
    function: Callable[[FloatArray, FloatArray], FloatArray],
    resamples: int,
    seed: int,
    few: int | None = None,
) -> Replicates:
    """Compute a function of the metrics of a and b, on all rows and on the same replicates.

    Args:
        rivals: Two models.
        metric: Metric of both.
        function: Function of the metrics (R,) of a and of b.
        resamples, seed: See :func:`bootstrap_intervals`.
        few: Number of parts up to which each is left out once; None takes the usual one.
    """
    target = rivals.target
    truth, a = target.check(rivals.values, rivals.predictions_a)
    _, b = target.check(rivals.values, rivals.predictions_b)
    if metric in RANKED:
        resamples = _affordable(2 * a.size, resamples)
    limits = {} if few is None else {"few": few}
    of_a, of_b = (
        replicate(target.scorer(truth, each, (metric,)), len(truth), rivals.parts, resamples, seed, **limits)
        for each in (a, b)
    )
    return of_a[metric].combine(of_b[metric], function)


def mcnemar(targets: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike) -> float:
    """Compute the exact two-sided p-value that a and b are right equally often (McNemar 1947); all (N,).

    Only rows that exactly one of the two predicts right count; without any the value is 1.
    """
    truth = np.asarray(targets)
    right_a, right_b = np.asarray(predicted_a) == truth, np.asarray(predicted_b) == truth
    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


def _affordable(cells: int, resamples: int) -> int:
    """Number of resamples of a ranked metric on so many cells."""
    return int(np.clip(_RANKED_BUDGET // cells, 100, resamples))
