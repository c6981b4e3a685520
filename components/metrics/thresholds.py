"""Decision thresholds: beside probabilities, found for F1 on rows that nothing has learned from.

A class or label is decided by its probability over its threshold. Probabilities stay as they are.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.metrics.classification import FloatArray, IntArray, divide

EVEN = 0.5
"""Threshold of labels given if more probable than not; classes that all have it go by probability."""

_POSITIVES = 10.0  # that the probabilities' own expectation is worth
_LEAST = 1e-6
_POWERS = np.linspace(0.0, 1.0, 21)


def with_thresholds(probabilities: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Put thresholds (C,) or (N, C) beside probabilities (N, C): (N, 2 C)."""
    return np.concatenate([probabilities, np.broadcast_to(thresholds, probabilities.shape)], axis=1)


def split_thresholds(predictions: ArrayLike, width: int) -> tuple[FloatArray, FloatArray | None]:
    """Split predictions (N, C) or (N, 2 C) into probabilities (N, C) and thresholds (N, C), or None."""
    given = np.asarray(predictions, dtype=np.float64)
    if given.ndim == 2 and given.shape[1] == 2 * width:
        return given[:, :width], given[:, width:]
    return given, None


def decide_classes(probabilities: FloatArray, thresholds: FloatArray | None) -> IntArray:
    """Return the class with the highest ratio of probability to threshold, (N,)."""
    ratios = probabilities if thresholds is None else probabilities / thresholds
    return ratios.argmax(axis=1).astype(np.int64) if len(ratios) else np.zeros(0, np.int64)


def decide_labels(probabilities: FloatArray, thresholds: FloatArray | None) -> NDArray[np.bool_]:
    """Mark the labels whose probability reaches their threshold, (N, L) bool."""
    return probabilities >= (EVEN if thresholds is None else thresholds)


def label_thresholds(truth: FloatArray, probabilities: FloatArray) -> FloatArray:
    """Find the threshold of each label with the highest F1, (L,).

    A threshold from the truth alone (SCut: Yang 2001, https://doi.org/10.1145/383952.383975) follows the luck
    of a few positives; Fan & Lin 2007 fall back to a high one there. Calibrated probabilities say what F1 to
    expect above each threshold (Lewis 1995; Lipton, Elkan & Naryanaswamy 2014,
    https://arxiv.org/abs/1402.1892). So the truth of a label with n positives is averaged with its
    probabilities, which weigh as much as ten positives. A label without positives has the threshold that its
    probabilities expect to be best.

    Args:
        truth: (N, L) of 0 and 1.
        probabilities: (N, L), calibrated.
    """
    share = _POSITIVES / (_POSITIVES + truth.sum(axis=0))  # (L,)
    order = np.argsort(-probabilities, axis=0, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=0)  # (N, L), falling
    soft = np.take_along_axis(share * probabilities + (1 - share) * truth, order, axis=0)
    scores = divide(2 * soft.cumsum(axis=0), soft.sum(axis=0) + np.arange(1, len(soft) + 1)[:, None])
    return _cut(ordered, scores)


def shared_threshold(truth: FloatArray, probabilities: FloatArray) -> float:
    """Find the threshold of all labels together with the highest micro F1; see :func:`label_thresholds`."""
    return float(label_thresholds(truth.reshape(-1, 1), probabilities.reshape(-1, 1))[0])


def class_thresholds(truth: IntArray, probabilities: FloatArray, weighted: bool) -> FloatArray:
    """Find thresholds of classes with the highest macro or weighted F1, (C,).

    Of two classes, the one threshold. Of more, a power of their frequencies between 0 (the most probable
    class) and 1 (each class as if all were as frequent; Menon et al. 2021,
    https://arxiv.org/abs/2007.07314): one number to learn, whatever the number of classes.

    Args:
        truth: (N,) class indices.
        probabilities: (N, C), calibrated.
        weighted: Weigh the F1 of each class by its rows.
    """
    rows, classes = probabilities.shape
    counts = np.bincount(truth, minlength=classes)
    share = _POSITIVES / (_POSITIVES + (counts.min() if classes == 2 else rows / classes))
    soft = (1 - share) * np.eye(classes)[truth] + share * probabilities  # (N, C)
    support = soft.sum(axis=0)
    importance = support / rows if weighted else (support > 0) / max((support > 0).sum(), 1)
    if classes > 2:
        every = [np.clip(counts / rows, _LEAST, 1) ** power for power in _POWERS]
        scores = []
        for thresholds in every:
            chosen = np.eye(classes)[decide_classes(probabilities, thresholds)]
            f1 = divide(2 * (chosen * soft).sum(axis=0), support + chosen.sum(axis=0))
            scores.append(f1 @ importance)
        return every[int(np.argmax(scores))]
    order = np.argsort(-probabilities[:, 1], kind="stable")
    number = np.arange(1, rows + 1)  # rows of the last class
    right = soft[order, 1].cumsum()
    others = support[0] - soft[order, 0].cumsum()
    f1 = np.stack([divide(2 * others, support[0] + rows - number), divide(2 * right, support[1] + number)])
    last = float(_cut(probabilities[order, 1][:, None], (importance @ f1)[:, None])[0])
    return np.array([1 - last, last])


def _cut(ordered: FloatArray, scores: FloatArray) -> FloatArray:
    """Return thresholds (L,) halfway below the best place in each column of falling probabilities (N, L)."""
    after = np.concatenate([ordered[1:], ordered[-1:] / 2])  # (N, L)
    best = np.where(ordered > after, scores, -np.inf).argmax(axis=0)
    columns = np.arange(ordered.shape[1])
    return ((ordered[best, columns] + after[best, columns]) / 2).clip(_LEAST, 1 - _LEAST)
