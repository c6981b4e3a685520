"""How well rankings bring up what is right, and what chance would do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

FloatArray = NDArray[np.float64]
DEPTHS = (1, 5, 10)
_DIGITS = 6  # similarities that agree in so many places are equal: float32 sums differ in the last ones


@dataclass(frozen=True)
class Rankings:
    """What became of Q queries.

    Attributes:
        recall: By k, (Q,): the chance that something right is among the first k.
        rank: (Q,), of the first right answer, from 1.
        average_precision: (Q,).
    """

    recall: dict[int, FloatArray]
    rank: FloatArray
    average_precision: FloatArray


def score_rankings(similarity: np.ndarray, right: NDArray[np.bool_]) -> Rankings:
    """Rank a gallery by similarity to each query.

    Equal similarities have no order: recall and rank are those expected of a random one, and the average
    precision takes them as one step, as scikit-learn does. So a model that finds everything equally similar
    is at chance.

    Args:
        similarity: (Q, G), higher is nearer.
        right: (Q, G) bool, at least one of each row true.
    """
    similarity = np.round(similarity.astype(np.float64), _DIGITS)
    order = np.argsort(-similarity, axis=1, kind="stable")
    similarity, right = np.take_along_axis(similarity, order, 1), np.take_along_axis(right, order, 1)
    queries, size = right.shape
    places = np.arange(size)
    differs = similarity[:, 1:] != similarity[:, :-1]
    edge = np.ones((queries, 1), bool)
    begin = np.maximum.accumulate(np.where(np.hstack([edge, differs]), places, 0), axis=1)
    end = np.where(np.hstack([differs, edge]), places, size)
    end = np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]  # last place of those equal to this one
    found = np.cumsum(right, axis=1)
    precision = np.take_along_axis(found, end, 1) / (end + 1)
    average = (precision * right).sum(1) / right.sum(1)

    first = right.argmax(axis=1)[:, None]
    before = np.take_along_axis(begin, first, 1)[:, 0]
    last = np.take_along_axis(end, first, 1)[:, 0]
    equal = last - before + 1
    right_ones = found[np.arange(queries), last]
    recall = {k: chance_of_any(equal, right_ones, np.clip(k - before, 0, equal)) for k in DEPTHS}
    return Rankings(recall, before + (equal + 1) / (right_ones + 1), average)


def chance_of_any(size: np.ndarray, right: np.ndarray, drawn: np.ndarray) -> FloatArray:
    """Chance that ``drawn`` of ``size`` things, ``right`` of which are right, hold a right one."""
    size, right, drawn = (np.asarray(value, np.float64) for value in (size, right, drawn))
    wrong = size - right
    with np.errstate(invalid="ignore"):
        log_none = (
            gammaln(wrong + 1) + gammaln(size - drawn + 1) - gammaln(wrong - drawn + 1) - gammaln(size + 1)
        )
    return np.where(drawn > wrong, 1.0, -np.expm1(np.where(drawn > wrong, 0.0, log_none)))


def chance_levels(size: int, right: np.ndarray) -> dict[str, float]:
    """What a random order of the gallery gives on average.

    Args:
        size: Rows of the gallery, G.
        right: (Q,): how many of them are right for each query.

    Returns:
        ``recall_1``, ``recall_5``, ``recall_10``; ``median_rank``: the first k with a recall of one half;
        ``mean_average_precision``: ``(H + (R - 1) (G - H) / (G - 1)) / G`` with H = 1 + 1/2 + ... + 1/G, the
        sum over places of the chance that it is right times the precision expected there.
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
