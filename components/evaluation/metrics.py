"""Classification metrics from probabilities: all of them, one of them, or class by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from components.errors import DataError, ModelError
from components.evaluation.weighted import METRICS, FloatArray, IntArray, Ranks, WeightedMetrics

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "calibration_error_adaptive"})


def higher_is_better(name: str) -> bool:
    """Whether more of this metric is better. Raises KeyError for a name that is not in METRICS."""
    if name not in METRICS:
        raise KeyError(f"{name!r} is not a metric; known: {', '.join(METRICS)}")
    return name not in LOWER_IS_BETTER


def classification_metrics(
    targets: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]
) -> dict[str, float]:
    """All of METRICS; see WeightedMetrics for what each means.

    Args:
        targets: class indices (N,), N ≥ 1. Classes may be absent from them.
        probabilities: (N, C), rows sum to 1.
        classes: C names.

    Returns:
        name → value; a metric that is not defined on these targets (roc_auc when all rows are of one class)
        is left out.

    Raises:
        ModelError, DataError: see `checked`.
    """
    targets, probabilities = checked(targets, probabilities, len(classes))
    values = WeightedMetrics(targets, probabilities)(np.ones((len(targets), 1)))
    return {name: float(value[0]) for name, value in values.items() if np.isfinite(value[0])}


def metric(name: str, targets: ArrayLike, probabilities: ArrayLike) -> float:
    """One metric, quick enough for every epoch; NaN if it is not defined on these targets."""
    higher_is_better(name)  # a clear error for an unknown name
    targets, probabilities = checked(targets, probabilities)
    values = WeightedMetrics(targets, probabilities, (name,))(np.ones((len(targets), 1)))
    return float(values[name][0])


def per_class(targets: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """One row a class: class, support, precision, recall, f1, roc_auc, average_precision.

    NaN where a value is not defined: recall, f1, roc_auc and average_precision of a class without rows,
    precision of a class that is never predicted.
    """
    targets, probabilities = checked(targets, probabilities, len(classes))
    counts = confusion(targets, probabilities, classes).to_numpy()
    right, support, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    ones = np.ones((len(targets), 1))
    ranks = [Ranks.of(targets == c, probabilities[:, c])(ones)[:, 0] for c in range(len(classes))]
    roc_auc, average_precision = np.transpose(ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "class": list(classes),
                "support": support,
                "precision": right / predicted,
                "recall": right / support,
                "f1": np.where(support > 0, 2 * right / (support + predicted), np.nan),
                "roc_auc": roc_auc,
                "average_precision": average_precision,
            }
        )


def confusion(targets: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Counts of rows, label by predicted class: (C, C) with the class names on both sides."""
    targets, probabilities = checked(targets, probabilities, len(classes))
    size = len(classes)
    cells = targets * size + probabilities.argmax(axis=1)
    counts = np.bincount(cells, minlength=size * size).reshape(size, size)
    return pd.DataFrame(
        counts, index=pd.Index(classes, name="label"), columns=pd.Index(classes, name="predicted")
    )


def checked(
    targets: ArrayLike, probabilities: ArrayLike, classes: int | None = None
) -> tuple[IntArray, FloatArray]:
    """Targets as int64 (N,) and probabilities as float64 (N, C).

    Raises:
        DataError: there is not one row, or a target is not in 0..C-1.
        ModelError: probabilities have another shape, are not finite, or do not sum to 1.
    """
    truth = np.asarray(targets, dtype=np.int64)
    given = np.asarray(probabilities, dtype=np.float64)
    if len(truth) == 0:
        raise DataError("there are no rows to evaluate; give this split at least one row")
    expected = f"({len(truth)}, {classes or 'C'})"
    if given.ndim != 2 or len(given) != len(truth) or (classes is not None and given.shape[1] != classes):
        raise ModelError(f"probabilities have the shape {given.shape}, expected {expected}")
    if truth.min() < 0 or truth.max() >= given.shape[1]:
        found = f"{truth.min()}..{truth.max()}"
        raise DataError(f"targets are in {found}, expected class indices 0..{given.shape[1] - 1}")
    bad = ~np.isfinite(given).all(axis=1)
    if bad.any():
        raise ModelError(
            f"the predictions of {bad.sum()} of {len(given)} rows are not finite numbers (first: row "
            f"{bad.argmax()}); training diverged: lower training.learning_rate or set training.clip_norm"
        )
    off = np.abs(given.sum(axis=1) - 1) > 1e-3
    if off.any() or given.min() < -1e-6:
        raise ModelError(
            f"{off.sum()} of {len(given)} rows are not probabilities (row {off.argmax()} sums to "
            f"{given[off.argmax()].sum():.4g}, expected 1); give probabilities, not logits"
        )
    return truth, given
