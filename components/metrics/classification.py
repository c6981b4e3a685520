"""Classification metrics for many weightings of the rows at once.

A bootstrap resample weights each row by the number of its draws, and the plain metric weights all rows by
one. So each metric has one implementation, and a thousand resamples cost a few matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

COUNTED = (
    "accuracy",
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
)
RANKED = ("roc_auc", "average_precision")
AVERAGED = ("log_loss", "brier")
BINNED = ("calibration_error", "calibration_error_adaptive")
METRICS = COUNTED + RANKED + AVERAGED + BINNED
BINS = 15

_TINY = float(np.finfo(np.float64).eps)


class WeightedMetrics:
    """Metrics of fixed predictions, as a function of row weights.

    Args:
        targets: (N,) class indices.
        probabilities: (N, C), whose rows sum to 1.
        names: Metrics to compute, of METRICS.
        predicted: (N,) class of each row; None takes the most probable.

    A call with weights (N, R) gives {name: (R,)}, NaN if a metric is not defined for a weighting.

    Macro averages run over the classes that occur in the (weighted) targets; predicting a class that does not
    occur costs the recall of the true one. A class that occurs and is never predicted has precision 0.
    roc_auc and average_precision are one-vs-rest, averaged over the classes that have rows on both sides;
    with two classes they are those of the last class. brier is the sum over classes (0 to 2, Brier 1950).
    calibration_error is the ECE of the top label over 15 bins of equal width (Guo et al. 2017);
    calibration_error_adaptive the same over 15 bins of equal numbers of rows (Nguyen & O'Connor 2015).
    """

    def __init__(
        self,
        targets: IntArray,
        probabilities: FloatArray,
        names: Sequence[str] = METRICS,
        predicted: IntArray | None = None,
    ):
        self.names = tuple(names)
        rows, self.classes = probabilities.shape
        top = probabilities.argmax(axis=1)
        predicted = top if predicted is None else predicted
        right = predicted == targets
        confidence = probabilities[np.arange(rows), top]
        if set(COUNTED) & set(names):
            self._support = _sums_by_group(targets, self.classes)
            self._predicted = _sums_by_group(predicted, self.classes)
            self._right = _sums_by_group(targets, self.classes, right.astype(np.float64))
        if set(AVERAGED) & set(names):
            self._row_values = {
                "log_loss": row_losses(targets, probabilities),
                "brier": _brier(targets, probabilities),
            }
        if set(BINNED) & set(names):
            order = np.empty(rows, np.int64)
            order[np.argsort(confidence, kind="stable")] = np.arange(rows)
            bins = {
                "calibration_error": equal_width_bins(confidence),
                "calibration_error_adaptive": order * BINS // rows,
            }
            self._gaps = {
                name: _sums_by_group(bin_, BINS, (top == targets) - confidence) for name, bin_ in bins.items()
            }
        if set(RANKED) & set(names):
            ranked = range(1, 2) if self.classes == 2 else range(self.classes)
            self._ranks = [Ranks.of(targets == c, probabilities[:, c]) for c in ranked]

    def __call__(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Compute {name: (R,)} for weights (N, R), each column of which has a positive sum."""
        wanted = set(self.names)
        values: dict[str, FloatArray] = {}
        total = weights.sum(axis=0)  # (R,)
        if wanted & set(COUNTED):
            values |= self._counted(weights, total)
        if wanted & set(RANKED):
            both = np.array([ranks(weights) for ranks in self._ranks])  # (classes, 2, R)
            values |= dict(zip(RANKED, mean_of_finite(both), strict=True))
        if wanted & set(AVERAGED):
            values |= {name: row @ weights / total for name, row in self._row_values.items()}
        if wanted & set(BINNED):
            values |= {name: np.abs(gaps @ weights).sum(axis=0) / total for name, gaps in self._gaps.items()}
        return {name: values[name] for name in self.names}

    def _counted(self, weights: FloatArray, total: FloatArray) -> dict[str, FloatArray]:
        support, predicted, right = (
            m @ weights for m in (self._support, self._predicted, self._right)
        )  # (C, R)
        present = support > 0
        precision = divide(right, predicted)
        recall = divide(right, support)
        f1 = divide(2 * right, support + predicted)
        macro: Callable[[FloatArray], FloatArray] = lambda v: (v * present).sum(axis=0) / present.sum(axis=0)  # noqa: E731
        weighted: Callable[[FloatArray], FloatArray] = lambda v: (v * support).sum(axis=0) / total  # noqa: E731
        return {
            "accuracy": right.sum(axis=0) / total,
            "balanced_accuracy": macro(recall),
            "precision_macro": macro(precision),
            "recall_macro": macro(recall),
            "f1_macro": macro(f1),
            "precision_weighted": weighted(precision),
            "recall_weighted": weighted(recall),
            "f1_weighted": weighted(f1),
        }


@dataclass(frozen=True)
class Ranks:
    """Rows of one class against the rest, sorted by falling score; ties share one threshold.

    Attributes:
        order: (N,) index that sorts the rows.
        positive: (P,) positions of the positives in that order.
        start: (P,) first row of the tie of each positive.
        end: (P,) row after that tie.
        start_positives: (P,) number of positives before the tie.
        end_positives: (P,) number of positives up to its end.
    """

    order: IntArray
    positive: IntArray
    start: IntArray
    end: IntArray
    start_positives: IntArray
    end_positives: IntArray

    @classmethod
    def of(cls, positives: NDArray[np.bool_], scores: FloatArray) -> Ranks:
        """Sort the scores (N,) of a class; `positives` (N,) are True for its rows."""
        order = np.argsort(-scores, kind="stable")
        falls = np.flatnonzero(np.diff(scores[order])) + 1
        edges = np.concatenate([[0], falls, [len(scores)]])
        positive = np.flatnonzero(positives[order])
        tie = np.searchsorted(edges, positive, side="right")
        start, end = edges[tie - 1], edges[tie]
        return cls(
            order, positive, start, end, np.searchsorted(positive, start), np.searchsorted(positive, end)
        )

    def __call__(self, weights: FloatArray) -> FloatArray:
        """Compute ROC AUC and average precision for weights (N, R): (2, R), NaN where one side is empty.

        AUC = Σ_i w_i (negatives below i + ½ negatives tied with i) / (P·N), AP = Σ_i w_i precision(i) / P,
        over the positives i. Both need one running sum over the sorted weights.
        """
        undefined = np.full((2, weights.shape[1]), np.nan)
        if len(self.positive) in (0, len(self.order)):
            return undefined
        ordered = weights[self.order]  # (N, R)
        own = ordered[self.positive]  # (P, R)
        rows = _running_sum(ordered)
        hits = _running_sum(own)
        hits_at_end, rows_at_end = hits[self.end_positives], rows[self.end]
        above = rows[self.start] - hits[self.start_positives]
        above_or_tied = rows_at_end - hits_at_end
        positives, negatives = hits[-1], rows[-1] - hits[-1]
        auc = positives * negatives - np.einsum("pr,pr->r", own, above + above_or_tied) / 2
        precision = np.einsum("pr,pr->r", own, divide(hits_at_end, rows_at_end))
        defined = (positives > 0) & (negatives > 0)
        scale = np.stack([positives * negatives, positives])
        return np.where(
            defined, np.divide([auc, precision], scale, out=undefined, where=defined & (scale > 0)), np.nan
        )


def row_losses(targets: IntArray, probabilities: FloatArray) -> FloatArray:
    """Compute −ln of the probability of the target, (N,), finite even where that is 0."""
    return -np.log(np.clip(probabilities[np.arange(len(targets)), targets], _TINY, 1))


def equal_width_bins(confidence: FloatArray, bins: int = BINS) -> IntArray:
    """Return the bin of each confidence (N,) in [0, 1]; bin m holds (m/bins, (m+1)/bins]."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def _brier(targets: IntArray, probabilities: FloatArray) -> FloatArray:
    own = probabilities[np.arange(len(targets)), targets]
    return np.square(probabilities).sum(axis=1) - 2 * own + 1


def _sums_by_group(groups: IntArray, size: int, values: FloatArray | None = None) -> sparse.csr_array:
    """Return the matrix (size, N) that sums row weights, times `values`, within each group."""
    rows = len(groups)
    values = np.ones(rows) if values is None else values
    return sparse.csr_array((values, (groups, np.arange(rows))), shape=(size, rows))


def _running_sum(weights: FloatArray) -> FloatArray:
    """Sum the first 0, 1, … N rows: (N + 1, R)."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums


def divide(a: FloatArray, b: FloatArray) -> FloatArray:
    """Divide a by b, with 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def mean_of_finite(values: FloatArray) -> FloatArray:
    """Average the finite values over the first axis; NaN where there are none."""
    finite = np.isfinite(values)
    count = finite.sum(axis=0)
    total = np.where(finite, values, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
