"""Checks of values and predictions before evaluation: shapes, ranges, finite numbers."""

import numpy as np
from numpy.typing import ArrayLike

from components.errors import DataError, ModelError
from components.metrics.classification import FloatArray, IntArray

_DIVERGED = "training diverged: lower training.learning_rate or set training.clip_norm"


def check_probabilities(
    targets: ArrayLike, probabilities: ArrayLike, classes: int | None = None
) -> tuple[IntArray, FloatArray]:
    """Convert targets to int64 (N,) and probabilities to float64 (N, C), and check them.

    Raises:
        DataError: If there are no rows, or a target is not in 0..C-1.
        ModelError: If probabilities have another shape, are not finite, or do not sum to 1.
    """
    truth = np.asarray(targets, dtype=np.int64)
    given = np.asarray(probabilities, dtype=np.float64)
    if len(truth) == 0:
        raise DataError("there are no rows to evaluate; give this split at least one row")
    expected = f"({len(truth)}, {classes or 'C'})"
    if given.ndim != 2 or len(given) != len(truth) or (classes is not None and given.shape[1] != classes):
        raise ModelError(f"probabilities have the shape {given.shape}, expected {expected}")
    if truth.min() < 0 or truth.max() >= given.shape[1]:
        raise DataError(
            f"targets are in {truth.min()}..{truth.max()}, expected class indices 0..{given.shape[1] - 1}"
        )
    bad = ~np.isfinite(given).all(axis=1)
    if bad.any():
        raise ModelError(
            f"the predictions of {bad.sum()} of {len(given)} rows are not finite numbers (first: row "
            f"{bad.argmax()}); {_DIVERGED}"
        )
    off = np.abs(given.sum(axis=1) - 1) > 1e-3
    if off.any() or given.min() < -1e-6:
        raise ModelError(
            f"{off.sum()} of {len(given)} rows are not probabilities (row {off.argmax()} sums to "
            f"{given[off.argmax()].sum():.4g}, expected 1); give probabilities, not logits"
        )
    return truth, given


def check_label_probabilities(
    targets: ArrayLike, probabilities: ArrayLike, labels: int
) -> tuple[FloatArray, FloatArray]:
    """Convert targets (N, L) of 0 and 1 and probabilities (N, L) to float64, and check them.

    Raises:
        DataError: If there are no rows, or a target is neither 0 nor 1.
        ModelError: If probabilities have another shape, are not finite, or are not in [0, 1].
    """
    truth, given = _numbers(targets, probabilities, (labels,))
    if truth.shape != given.shape or not np.isin(truth, (0, 1)).all():
        raise DataError(f"targets must be 0 or 1 in the shape {given.shape}, found the shape {truth.shape}")
    if given.min() < -1e-6 or given.max() > 1 + 1e-6:
        raise ModelError(
            f"probabilities reach from {given.min():.4g} to {given.max():.4g}, expected 0 to 1; give "
            "probabilities, not logits"
        )
    return truth, given


def check_thresholds(thresholds: FloatArray) -> FloatArray:
    """Check decision thresholds.

    Raises:
        ModelError: If one is not above 0, or above 1.
    """
    if thresholds.size and not (thresholds.min() > 0 and thresholds.max() <= 1):
        raise ModelError(
            f"thresholds reach from {thresholds.min():.4g} to {thresholds.max():.4g}, expected 0 to 1; "
            "a column per class is a probability, those after them are thresholds"
        )
    return thresholds


def check_numbers(targets: ArrayLike, predictions: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Convert targets (N,) and predictions (N, 2), mean and standard deviation, to float64, and check them.

    Raises:
        DataError: If there are no rows, or a target is not finite.
        ModelError: If predictions have another shape, are not finite, or a deviation is not positive.
    """
    truth, given = _numbers(targets, predictions, (2,))
    if truth.shape != given.shape[:1] or not np.isfinite(truth).all():
        raise DataError(f"targets must be {len(given)} finite numbers, found the shape {truth.shape}")
    if given[:, 1].min() <= 0:
        raise ModelError(f"a predicted standard deviation is {given[:, 1].min():.4g}, expected above 0")
    return truth, given


def _numbers(targets: ArrayLike, predictions: ArrayLike, width: tuple[int]) -> tuple[FloatArray, FloatArray]:
    truth = np.asarray(targets, dtype=np.float64)
    given = np.asarray(predictions, dtype=np.float64)
    if len(truth) == 0:
        raise DataError("there are no rows to evaluate; give this split at least one row")
    if given.shape != (len(truth), *width):
        raise ModelError(f"predictions have the shape {given.shape}, expected ({len(truth)}, {width[0]})")
    bad = ~np.isfinite(given).all(axis=1)
    if bad.any():
        raise ModelError(
            f"the predictions of {bad.sum()} of {len(given)} rows are not finite numbers (first: row "
            f"{bad.argmax()}); {_DIVERGED}"
        )
    return truth, given
