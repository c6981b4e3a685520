"""Metrics of every kind of target: all of them, one of them, or class by class."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from components.metrics.checks import check_probabilities
from components.metrics.classification import Ranks
from components.targets import Classification, Multilabel
from components.targets.target import Target

LOWER_IS_BETTER = frozenset(
    {"log_loss", "brier", "calibration_error", "calibration_error_adaptive", "hamming_loss"}
    | {"mae", "rmse", "mape", "interval_width"}
)


def higher_is_better(name: str) -> bool:
    """Whether more of this metric is better."""
    return name not in LOWER_IS_BETTER


def all_metrics(target: Target, values: ArrayLike, predictions: ArrayLike) -> dict[str, float]:
    """All metrics of a target; its scorer says what each means.

    Args:
        target: What is predicted.
        values: (N, ...) as the target encodes them, N >= 1, all known.
        predictions: (N, P).

    Returns:
        name → value; a metric that is not defined on these values (roc_auc when all rows are of one class)
        is left out.

    Raises:
        ModelError, DataError: see :mod:`components.metrics.checks`.
    """
    truth, given = target.check(values, predictions)
    found = target.scorer(truth, given, target.metrics)(np.ones((len(truth), 1)))
    return {name: float(value[0]) for name, value in found.items() if np.isfinite(value[0])}


def metric(target: Target, name: str, values: ArrayLike, predictions: ArrayLike) -> float:
    """One metric, quick enough for every epoch; NaN if it is not defined on these values.

    Raises:
        KeyError: The target has no metric of this name.
    """
    if name not in target.metrics:
        raise KeyError(f"{name!r} is not a metric of {target.task}; known: {', '.join(target.metrics)}")
    truth, given = target.check(values, predictions)
    return float(target.scorer(truth, given, (name,))(np.ones((len(truth), 1)))[name][0])


def per_class(target: Classification | Multilabel, values: ArrayLike, predictions: ArrayLike) -> pd.DataFrame:
    """One row a class or label: class, support, precision, recall, f1, roc_auc, average_precision.

    NaN where a value is not defined: recall, f1, roc_auc and average_precision of a class without rows,
    precision of a class that is never predicted.
    """
    truth, given = target.check(values, predictions)
    if isinstance(target, Multilabel):
        there, said = truth > 0.5, given >= 0.5
    else:
        classes = np.arange(target.width)
        there, said = truth[:, None] == classes, given.argmax(axis=1)[:, None] == classes
    right, support, predicted = (there & said).sum(0), there.sum(0), said.sum(0)
    ones = np.ones((len(truth), 1))
    ranks = [Ranks.of(there[:, c], given[:, c])(ones)[:, 0] for c in range(target.width)]
    roc_auc, average_precision = np.transpose(ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "class": list(target.classes),
                "support": support,
                "precision": right / predicted,
                "recall": right / support,
                "f1": np.where(support > 0, 2 * right / (support + predicted), np.nan),
                "roc_auc": roc_auc,
                "average_precision": average_precision,
            }
        )


def confusion(target: Classification, values: ArrayLike, predictions: ArrayLike) -> pd.DataFrame:
    """Counts of rows, label by predicted class: (C, C) with the class names on both sides."""
    size = target.width
    truth, given = check_probabilities(values, predictions, size)
    counts = np.bincount(truth * size + given.argmax(axis=1), minlength=size * size).reshape(size, size)
    return pd.DataFrame(
        counts,
        index=pd.Index(target.classes, name="label"),
        columns=pd.Index(target.classes, name="predicted"),
    )


def rank(metric_name: str, value: float, log_loss: float) -> tuple[float, float]:
    """A key for ``max``: the better candidate has the larger one.

    Where the metric is not defined on the rows (NaN; it is so for all candidates then), the log loss decides.
    """
    sign = 1 if higher_is_better(metric_name) else -1
    return (0.0 if math.isnan(value) else sign * value, -log_loss)
