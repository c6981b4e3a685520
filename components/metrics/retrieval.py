"""Retrieval metrics: recall at k, rank and average precision, with their chance levels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

FloatArray = NDArray[np.float64]
DEPTHS = (1, 5, 10)
_DIGITS = 6  # decimals up to which similarities are compared, as float32 sums differ in the last ones


@dataclass(frozen=True)
class Rankings:
    """Scores of Q queries.

    Attributes:
        recall: (Q,) probability that a correct row is among the first k, by k.
        rank: (Q,) rank of the first correct row, from 1.
        average_precision: (Q,).
    """

    recall: dict[int, FloatArray]
    rank: FloatArray
    average_precision: FloatArray


def score_rankings(similarity: np.ndarray, right: NDArray[np.bool_]) -> Rankings:
    """Rank a gallery by similarity to each query.

    Equal similarities have no order: recall and rank are the expectation over random orders, and the average
    precision treats them as one step, as scikit-learn does. So a model with constant similarities scores at
    chance.

    Args:
        similarity: (Q, G), higher is nearer.
        right: (Q, G) bool, True for correct rows; each query has at least one.
    """
    similarity = np.round(similarity.astype(np.float64), _DIGITS)
    order = np.argsort(-similarity, axis=1, kind="stable")
    similarity, right = np.take_along_axis(similarity, order, 1), np.take_along_axis(right, order, 1)
    queries, size = right.shape
    positions = np.arange(size)
    differs = similarity[:, 1:] != similarity[:, :-1]
    edge = np.ones((queries, 1), bool)
    begin = np.maximum.accumulate(np.where(np.hstack([edge, differs]), positions, 0), axis=1)
    end = np.where(np.hstack([differs, edge]), positions, size)
    end = np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]  # (Q, G) last position of the tie
    hits = np.cumsum(right, axis=1)  # (Q, G)
    precision = np.take_along_axis(hits, end, 1) / (end + 1)
    average = (precision * right).sum(1) / right.sum(1)

    first = right.argmax(axis=1)[:, None]
    before = np.take_along_axis(begin, first, 1)[:, 0]
    last = np.take_along_axis(end, first, 1)[:, 0]
    equal = last - before + 1
    right_ones = hits[np.arange(queries), last]
    recall = {k: chance_of_any(equal, right_ones, np.clip(k - before, 0, equal)) for k in DEPTHS}
    return Rankings(recall, before + (equal + 1) / (right_ones + 1), average)


def chance_of_any(size: np.ndarray, right: np.ndarray, drawn: np.ndarray) -> FloatArray:
    """Compute the chance of a correct row among ``drawn`` of ``size`` rows, ``right`` of them correct."""
    size, right, drawn = (np.asarray(value, np.float64) for value in (size, right, drawn))
    wrong = size - right
    with np.errstate(invalid="ignore"):
        log_none = (
            gammaln(wrong + 1) + gammaln(size - drawn + 1) - gammaln(wrong - drawn + 1) - gammaln(size + 1)
        )
    return np.where(drawn > wrong, 1.0, -np.expm1(np.where(drawn > wrong, 0.0, log_none)))


def chance_levels(size: int, right: np.ndarray) -> dict[str, float]:
    """Compute the expected metrics of a random order of the gallery.

    Args:
        size: Number of rows G of the gallery.
        right: (Q,) number of correct rows of each query.

    Returns:
        ``recall_1``, ``recall_5``, ``recall_10``; ``median_rank``: the smallest k with a recall of one half;
        ``mean_average_precision``: ``(H + (R - 1) (G - H) / (G - 1)) / G`` with H = 1 + 1/2 + ... + 1/G, the
        sum over positions of the probability of a correct row times the precision expected there.
    """
    counts, rows = np.unique(right, return_counts=True)
    share = rows / rows.sum()

    def recall(k: int) -> float:
        sizes = np.full(len(counts), size)
        return float(share @ chance_of_any(sizes, counts, np.full(len(counts), min(k, size))))

    low, high = 1, size
    while low < high:  # recall rises with k
        middle = (low + high) // 2
        low, high = (low, middle) if recall(middle) >= 0.5 - 1e-9 else (middle + 1, high)
    harmonic = float((1 / np.arange(1, size + 1)).sum())
    precision = (harmonic + (counts - 1) * (size - harmonic) / max(size - 1, 1)) / size
    return {
        **{f"recall_{k}": recall(k) for k in DEPTHS},
        "median_rank": float(low),
        "mean_average_precision": float(share @ precision),
    }
