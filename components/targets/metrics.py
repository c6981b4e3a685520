"""Metrics of every kind of target: all of them, one of them, or per class."""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from components.metrics.classification import Ranks
from components.targets.classification import Classification
from components.targets.multilabel import Multilabel
from components.targets.target import Target

LOWER_IS_BETTER = frozenset(
    {"log_loss", "brier", "calibration_error", "calibration_error_adaptive", "hamming_loss"}
    | {"mae", "rmse", "mape", "interval_width"}
)


def higher_is_better(name: str) -> bool:
    """Return True if a higher value of this metric is better."""
    return name not in LOWER_IS_BETTER


def all_metrics(target: Target, values: ArrayLike, predictions: ArrayLike) -> dict[str, float]:
    """Compute all metrics of a target, which its scorer defines.

    Args:
        target: Target of the predictions.
        values: (N, ...) as the target encodes them, N >= 1, all known.
        predictions: (N, P).

    Returns:
        Value by name, without metrics that are not defined on these values, such as roc_auc of one class.

    Raises:
        ModelError, DataError: See :mod:`components.metrics.checks`.
    """
    truth, given = target.check(values, predictions)
    scores = target.scorer(truth, given, target.metrics)(np.ones((len(truth), 1)))
    return {name: float(value[0]) for name, value in scores.items() if np.isfinite(value[0])}


def metric(target: Target, name: str, values: ArrayLike, predictions: ArrayLike) -> float:
    """Compute one metric, fast enough for every epoch; NaN if it is not defined on these values.

    Raises:
        KeyError: If the target has no metric of this name.
    """
    if name not in target.metrics:
        raise KeyError(f"{name!r} is not a metric of {target.task}; known: {', '.join(target.metrics)}")
    truth, given = target.check(values, predictions)
    return float(target.scorer(truth, given, (name,))(np.ones((len(truth), 1)))[name][0])


def per_class(target: Classification | Multilabel, values: ArrayLike, predictions: ArrayLike) -> pd.DataFrame:
    """Compute a row per class or label: class, support, precision, recall, f1, roc_auc, average_precision.

    NaN where a value is not defined: recall, f1, roc_auc and average_precision of a class without rows,
    precision of a class that is never predicted.
    """
    truth, given = target.check(values, predictions)
    if isinstance(target, Multilabel):
        true, predicted = truth > 0.5, target.decide(given)  # (N, L) bool each
    else:
        classes = np.arange(target.width)
        true, predicted = truth[:, None] == classes, target.decide(given)[:, None] == classes
    right, support, chosen = (true & predicted).sum(0), true.sum(0), predicted.sum(0)
    ones = np.ones((len(truth), 1))
    ranks = [Ranks.of(true[:, c], given[:, c])(ones)[:, 0] for c in range(target.width)]
    roc_auc, average_precision = np.transpose(ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "class": list(target.classes),
                "support": support,
                "precision": right / chosen,
                "recall": right / support,
                "f1": np.where(support > 0, 2 * right / (support + chosen), np.nan),
                "roc_auc": roc_auc,
                "average_precision": average_precision,
            }
        )


def confusion(target: Classification, values: ArrayLike, predictions: ArrayLike) -> pd.DataFrame:
    """Count rows by label and predicted class: (C, C) with the class names on both sides."""
    size = target.width
    truth, given = target.check(values, predictions)
    counts = np.bincount(truth * size + target.decide(given), minlength=size * size).reshape(size, size)
    return pd.DataFrame(
        counts,
        index=pd.Index(target.classes, name="label"),
        columns=pd.Index(target.classes, name="predicted"),
    )


def rank(metric_name: str, value: float, log_loss: float) -> tuple[float, float]:
    """Return a key for ``max``, which the better candidate has larger.

    If the metric is not defined on the rows (NaN, then for all candidates), the log loss decides.
    """
    sign = 1 if higher_is_better(metric_name) else -1
    return (0.0 if math.isnan(value) else sign * value, -log_loss)
