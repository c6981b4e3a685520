"""Split conformal prediction: sets and intervals that hold the truth with a given probability.

Vovk, Gammerman & Shafer 2005; Lei et al. 2018. The quantiles come from validation rows, one per subset of
present inputs (Mondrian). So the coverage also holds when inputs are missing. Where rows come in groups, it
holds for a row of a new group (Dunn, Wasserman & Ramdas 2023; Lee, Barber & Willett 2025). Sets rest on
probabilities, whatever the decision thresholds are.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.targets import AnyTarget, Classification, Multilabel, Regression
from components.targets.target import FloatArray


def fit_quantile(scores: FloatArray, coverage: float, parts: NDArray[np.int64] | None = None) -> FloatArray:
    """Compute the score that a row of a new part does not exceed with probability ``coverage``.

    Each of the K parts weighs 1 / (K + 1), divided among its rows, and the new one too. With fewer than
    coverage / (1 - coverage) parts, but as many rows, nothing finite is sure to hold for a new part: then
    the known parts share all the weight.

    Args:
        scores: Nonconformity of N rows that the model was not trained on: (N,), or (N, L) by label.
        coverage: Probability in (0, 1).
        parts: (N,) number of the independent part of each row; None if every row is its own.

    Returns:
        (1,) or (L,); infinite if N is too small for this coverage.
    """
    columns = scores if scores.ndim > 1 else scores[:, None]
    rows = len(columns)
    if math.ceil((rows + 1) * coverage) > rows:
        return np.full(columns.shape[1], np.inf)
    numbers = np.arange(rows) if parts is None else np.unique(parts, return_inverse=True)[1]
    sizes = np.bincount(numbers)
    known = len(sizes)
    share = coverage * (known + 1) / known  # of the weight of the known parts
    weights = 1 / (known * sizes[numbers])  # (N,)
    order = np.argsort(columns, axis=0)
    is_enough = np.cumsum(weights[order], axis=0) >= (share if share <= 1 else coverage) - 1e-12
    return np.take_along_axis(columns, order, 0)[is_enough.argmax(axis=0), np.arange(columns.shape[1])]


def covered(
    target: AnyTarget, values: np.ndarray, predictions: FloatArray, quantiles: FloatArray
) -> NDArray[np.bool_]:
    """Check for each row if its set holds its value.

    Args:
        target: Target of the predictions.
        values: (N, ...) values, all known.
        predictions: (N, P).
        quantiles: (N, Q) quantiles for each row's subset of inputs.

    Returns:
        (N,) bool, or (N, L) by label.
    """
    scores = target.nonconformity(values, predictions)
    inside = scores <= (quantiles if scores.ndim > 1 else quantiles[:, 0])
    predictions = target.without_thresholds(predictions)
    if isinstance(target, Classification):  # every set holds the top class
        inside = inside | (predictions.argmax(axis=1) == values)
    if isinstance(target, Multilabel):  # an open label may be present or not
        inside = inside | _open(predictions, quantiles)
    return inside


def sizes(target: AnyTarget, predictions: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Compute the size of each set, (N,): number of classes or of open labels, or length of the interval."""
    predictions = target.without_thresholds(predictions)
    if isinstance(target, Regression):
        low, high = target.interval(predictions, quantiles[:, 0])
        return high - low
    if isinstance(target, Multilabel):
        return _open(predictions, quantiles).sum(axis=1).astype(np.float64)
    return _members(predictions, quantiles).sum(axis=1).astype(np.float64)


def abstains(target: AnyTarget, predictions: FloatArray, quantiles: FloatArray) -> NDArray[np.bool_]:
    """Return (N,) bool, True if a set does not decide: several classes, an open label, no finite interval."""
    held = sizes(target, predictions, quantiles)
    if isinstance(target, Regression):
        return ~np.isfinite(held)
    return held > (0 if isinstance(target, Multilabel) else 1)


def describe(target: AnyTarget, predictions: FloatArray, quantiles: FloatArray) -> list[str]:
    """Write each row's set as text: ``a|b``, ``a|b?`` where b is open, or ``1.2 … 3.4``."""
    predictions = target.without_thresholds(predictions)
    if isinstance(target, Regression):
        ends = zip(*target.interval(predictions, quantiles[:, 0]), strict=True)
        return [f"{low:.4g} … {high:.4g}" for low, high in ends]
    if isinstance(target, Multilabel):
        rows = zip(predictions >= 0.5, _open(predictions, quantiles), strict=True)
        return [
            target.separator.join(
                f"{name}{'?' if doubt else ''}"
                for name, present, doubt in zip(target.classes, predicted, left_open, strict=True)
                if present or doubt
            )
            or target.none
            for predicted, left_open in rows
        ]
    return [_words(target.classes, row) for row in _members(predictions, quantiles)]


def _words(classes: Sequence[str], members: NDArray[np.bool_]) -> str:
    return "|".join(name for name, member in zip(classes, members, strict=True) if member)


def _members(predictions: FloatArray, quantiles: FloatArray) -> NDArray[np.bool_]:
    """Return (N, C) bool, True for the classes of each row's set."""
    members = 1 - predictions <= quantiles
    if len(members):
        members[np.arange(len(members)), predictions.argmax(axis=1)] = True
    return members


def _open(predictions: FloatArray, quantiles: FloatArray) -> NDArray[np.bool_]:
    """Return (N, L) bool, True for open labels: presence and absence are both possible, or both excluded."""
    return (1 - predictions <= quantiles) == (predictions <= quantiles)
