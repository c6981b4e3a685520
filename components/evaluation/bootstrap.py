"""Bootstrap intervals of metrics and of gains, over test rows (Efron 1979)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from components.evaluation.results import Gain, Interval
from components.metrics.classification import BINNED, COUNTED, RANKED, FloatArray
from components.targets import Classification, higher_is_better
from components.targets.target import Scorer, Target

# Weights per block, 16 MB: small enough for the CPU's cache, large enough for NumPy to be efficient.
_CHUNK = 2_000_000
# Rows × classes × resamples of ranked metrics, so that they take seconds on one core.
_RANKED_BUDGET = 1_000_000_000


def bootstrap_intervals(
    target: Target,
    values: ArrayLike,
    predictions: ArrayLike,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> dict[str, Interval]:
    """Compute percentile intervals of metrics over resamples of the rows.

    Two calls with the same N, resamples and seed draw the same rows. Metrics that are not defined on the
    targets are omitted. A resample on which a metric is not defined is ignored for it.

    The plain percentile interval is corrected in three cases:

    - When every row is right, no resample holds an error and the interval would be [1, 1]. Its low end is
      then the exact binomial one of accuracy (Clopper & Pearson 1934), for all metrics of predicted labels.
    - Calibration errors are sums of absolute values, so resampling noise raises them; their resamples are
      shifted down by their mean excess over the value.
    - roc_auc and average_precision use fewer resamples (at least 100) if
      N × C × resamples is above 1e9, to stay within about ten seconds.

    Args:
        values: (N, ...) as the target encodes them.
        predictions: (N, P).
        confidence: Level in (0, 1).
        names: Metrics of the target; None takes all.
    """
    truth, given = target.check(values, predictions)
    names = target.metrics if names is None else names
    rows = len(truth)
    scores = target.scorer(truth, given, names)(np.ones((rows, 1)))
    few = int(np.clip(_RANKED_BUDGET // given.size, 100, resamples))
    ranked = [name for name in names if name in RANKED]
    quick = [name for name in names if name not in RANKED]
    drawn = _draws(target.scorer(truth, given, quick), rows, resamples, seed) if quick else {}
    drawn |= _draws(target.scorer(truth, given, ranked), rows, few, seed) if ranked else {}

    tail = (1 - confidence) / 2
    perfect = isinstance(target, Classification) and bool((given.argmax(axis=1) == truth).all())
    intervals = {}
    for name in names:
        value, sample = float(scores[name][0]), drawn[name][np.isfinite(drawn[name])]
        if not np.isfinite(value) or len(sample) == 0:
            continue
        if name in BINNED:
            sample = np.maximum(sample - max(0.0, sample.mean() - value), 0)
        low, high = np.quantile(sample, [tail, 1 - tail])
        if perfect and name in COUNTED:
            low = tail ** (1 / rows)
        intervals[name] = Interval(value, float(low), float(high))
    return intervals


def paired_gain(
    target: Target,
    values: ArrayLike,
    predictions_a: ArrayLike,
    predictions_b: ArrayLike,
    metric: str,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Gain:
    """Compute the gain of a over b on the same rows, both scored on the same resamples.

    The sign is such that positive means a is better, also where lower values are. `p_value` is two-sided:
    twice the smaller share of resamples on either side of 0, those at 0 counting for both (Davison & Hinkley
    1997, section 4.2, with one added to numerator and denominator). All four are NaN, and the verdict
    'unclear', when the metric is not defined on these targets.

    Args:
        values: (N, ...) as the target encodes them.
        predictions_a: (N, P) of the challenger.
        predictions_b: (N, P) of its rival.
        resamples, confidence, seed: See :func:`bootstrap_intervals`.
    """
    rivals = Rivals(target, values, predictions_a, predictions_b)
    return mean_gain([rivals], metric, resamples, confidence, seed)


@dataclass(frozen=True)
class Rivals:
    """Predictions of two models for the same rows; attributes as in :func:`paired_gain`."""

    target: Target
    values: ArrayLike
    predictions_a: ArrayLike
    predictions_b: ArrayLike


def mean_gain(
    repetitions: Sequence[Rivals],
    metric: str,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Gain:
    """Average :func:`paired_gain` over repetitions of a training.

    Repetitions on equally many rows are scored on the same resamples: if they share
    the test rows, the chance of the rows must not average out.

    Args:
        repetitions: Predictions per seed of the training.
        metric, resamples, confidence, seed: See :func:`paired_gain`.
    """
    values, drawn = zip(*(_gains(rivals, metric, resamples, seed) for rivals in repetitions), strict=True)
    value = float(np.mean(values))
    few = min(map(len, drawn))
    gains = np.mean([each[:few] for each in drawn], axis=0)
    gains = gains[np.isfinite(gains)]
    if not np.isfinite(value) or len(gains) == 0:
        return Gain(float("nan"), float("nan"), float("nan"), float("nan"))
    # Sums in another order give 1e-17 for equal predictions, which is no gain.
    gains[np.abs(gains) < 1e-12] = 0
    value = 0.0 if abs(value) < 1e-12 else value
    tail = (1 - confidence) / 2
    low, high = np.quantile(gains, [tail, 1 - tail])
    fewer = min((gains <= 0).sum(), (gains >= 0).sum())
    p_value = min(1.0, 2 * (fewer + 1) / (len(gains) + 1))
    return Gain(value, float(low), float(high), float(p_value))


def _gains(rivals: Rivals, metric: str, resamples: int, seed: int) -> tuple[float, FloatArray]:
    """Compute the gain of a over b on all rows, and on each resample."""
    target = rivals.target
    truth, a = target.check(rivals.values, rivals.predictions_a)
    _, b = target.check(rivals.values, rivals.predictions_b)
    sign = 1.0 if higher_is_better(metric) else -1.0
    rows = len(truth)
    score_a, score_b = (target.scorer(truth, p, (metric,)) for p in (a, b))
    ones = np.ones((rows, 1))
    value = sign * float(score_a(ones)[metric][0] - score_b(ones)[metric][0])
    if metric in RANKED:
        resamples = int(np.clip(_RANKED_BUDGET // (2 * a.size), 100, resamples))
    drawn_a, drawn_b = (_draws(score, rows, resamples, seed)[metric] for score in (score_a, score_b))
    return value, sign * (drawn_a - drawn_b)


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


def _draws(score: Scorer, rows: int, resamples: int, seed: int) -> dict[str, FloatArray]:
    parts = [score(weights) for weights in _resampled_weights(rows, resamples, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _resampled_weights(rows: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Draw how often each row occurs in each resample: (rows, R) at a time, `resamples` columns in all.

    Each resample has its own generator, so that the first of them do not depend on how many follow.
    """
    width = max(1, min(resamples, _CHUNK // rows))
    for start in range(0, resamples, width):
        yield _weights(rows, seed, start, min(start + width, resamples))


@lru_cache(maxsize=4)  # 16 MB each; the points of a curve use the same draws
def _weights(rows: int, seed: int, start: int, stop: int) -> FloatArray:
    weights = np.empty((rows, stop - start))
    for column, number in enumerate(range(start, stop)):
        own = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,)))
        weights[:, column] = np.bincount(np.random.Generator(own).integers(0, rows, rows), minlength=rows)
    weights.flags.writeable = False
    return weights
