"""Sets and intervals that hold the truth as often as they say: split conformal prediction.

Vovk, Gammerman & Shafer 2005; Lei et al. 2018. The quantiles come from validation rows, one for each set of
inputs a row may have (Mondrian, by presence pattern), so that coverage holds with inputs missing too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.targets import AnyTarget, Classification, Multilabel, Regression
from components.targets.target import FloatArray


def fit_quantile(scores: FloatArray, coverage: float) -> FloatArray:
    """The score that a new row stays below with probability ``coverage``.

    Args:
        scores: Nonconformity of N rows that the model was not trained on: (N,), or (N, L) by label.
        coverage: In (0, 1).

    Returns:
        (1,) or (L,); infinite where N is too small to promise anything.
    """
    columns = scores if scores.ndim > 1 else scores[:, None]
    rows = len(columns)
    place = math.ceil((rows + 1) * coverage)
    if place > rows:
        return np.full(columns.shape[1], np.inf)
    return np.sort(columns, axis=0)[place - 1]


def covered(
    target: AnyTarget, values: np.ndarray, predictions: FloatArray, quantiles: FloatArray
) -> NDArray[np.bool_]:
    """Whether each row's set holds its value.

    Args:
        target: What is predicted.
        values: (N, ...), all known.
        predictions: (N, P).
        quantiles: (N, Q), of each row's own pattern.

    Returns:
        (N,), or (N, L) by label.
    """
    scores = target.nonconformity(values, predictions)
    inside = scores <= (quantiles if scores.ndim > 1 else quantiles[:, 0])
    if isinstance(target, Classification):  # the answer itself is in every set
        inside = inside | (predictions.argmax(axis=1) == values)
    if isinstance(target, Multilabel):  # a label that is left open may be there or not
        inside = inside | _open(predictions, quantiles)
    return inside


def sizes(target: AnyTarget, predictions: FloatArray, quantiles: FloatArray) -> FloatArray:
    """How much each set holds: classes, labels that are left open, or the length of the interval. (N,)."""
    if isinstance(target, Regression):
        return 2 * quantiles[:, 0] * predictions[:, 1]
    if isinstance(target, Multilabel):
        return _open(predictions, quantiles).sum(axis=1).astype(np.float64)
    return _members(predictions, quantiles).sum(axis=1).astype(np.float64)


def abstains(target: AnyTarget, predictions: FloatArray, quantiles: FloatArray) -> NDArray[np.bool_]:
    """Rows in which the set does not decide: several classes, an open label, no finite interval. (N,)."""
    held = sizes(target, predictions, quantiles)
    if isinstance(target, Regression):
        return ~np.isfinite(held)
    return held > (0 if isinstance(target, Multilabel) else 1)


def describe(target: AnyTarget, predictions: FloatArray, quantiles: FloatArray) -> list[str]:
    """Each row's set in words: ``a|b``, ``a|b?`` with labels left open marked, or ``1.2 … 3.4``."""
    if isinstance(target, Regression):
        reach = quantiles[:, 0] * predictions[:, 1]
        return [
            f"{mean - half:.4g} … {mean + half:.4g}"
            for mean, half in zip(predictions[:, 0], reach, strict=True)
        ]
    if isinstance(target, Multilabel):
        rows = zip(predictions >= 0.5, _open(predictions, quantiles), strict=True)
        return [
            target.separator.join(
                f"{name}{'?' if doubt else ''}"
                for name, there, doubt in zip(target.classes, said, left_open, strict=True)
                if there or doubt
            )
            or target.none
            for said, left_open in rows
        ]
    return [_words(target.classes, row) for row in _members(predictions, quantiles)]


def _words(classes: Sequence[str], members: NDArray[np.bool_]) -> str:
    return "|".join(name for name, there in zip(classes, members, strict=True) if there)


def _members(predictions: FloatArray, quantiles: FloatArray) -> NDArray[np.bool_]:
    """Classes of each row's set. (N, C)."""
    members = 1 - predictions <= quantiles
    if len(members):
        members[np.arange(len(members)), predictions.argmax(axis=1)] = True
    return members


def _open(predictions: FloatArray, quantiles: FloatArray) -> NDArray[np.bool_]:
    """Labels for which neither, or both, of there and not there can be ruled out. (N, L)."""
    return (1 - predictions <= quantiles) == (predictions <= quantiles)
