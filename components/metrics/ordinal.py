"""Metrics of ordered classes, for many weightings of the rows at once."""

from collections.abc import Sequence

import numpy as np

from components.metrics.classification import METRICS as CLASSIFICATION
from components.metrics.classification import FloatArray, IntArray, WeightedMetrics

ORDERED = ("mae", "within_one", "quadratic_kappa")
METRICS = CLASSIFICATION + ORDERED


class WeightedOrdinal:
    """Metrics of :class:`WeightedMetrics`, and metrics that use the order of the classes.

    mae is the mean distance between predicted and true class, in classes; within_one is the share of rows
    at most one class off; quadratic_kappa is the weighted kappa (Cohen 1968) with quadratic weights: 1 for
    agreement, 0 for chance.

    Args:
        targets: (N,) class indices, the lowest class first.
        probabilities: (N, C).
        names: Metrics to compute, of METRICS.
    """

    def __init__(self, targets: IntArray, probabilities: FloatArray, names: Sequence[str] = METRICS):
        self.names = tuple(names)
        self.classes = probabilities.shape[1]
        plain = [name for name in names if name in CLASSIFICATION]
        self._plain = WeightedMetrics(targets, probabilities, plain) if plain else None
        self._targets, self._predicted = targets, probabilities.argmax(axis=1)
        self._distance = np.abs(self._predicted - targets).astype(np.float64)

    def __call__(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Compute {name: (R,)} for weights (N, R)."""
        total = weights.sum(axis=0)
        values = self._plain(weights) if self._plain else {}
        values["mae"] = self._distance @ weights / total
        values["within_one"] = (self._distance <= 1).astype(np.float64) @ weights / total
        values["quadratic_kappa"] = self._kappa(weights, total)
        return {name: values[name] for name in self.names}

    def _kappa(self, weights: FloatArray, total: FloatArray) -> FloatArray:
        """Compute 1 - observed / expected squared distance; NaN if all true and predicted classes are one."""
        truth, predicted = self._targets.astype(np.float64), self._predicted.astype(np.float64)
        observed = np.square(truth - predicted) @ weights / total
        mean_t, mean_s = truth @ weights / total, predicted @ weights / total
        square_t = np.square(truth) @ weights / total
        square_s = np.square(predicted) @ weights / total
        expected = (
            square_t + square_s - 2 * mean_t * mean_s
        )  # (R,) for independent draws from the two margins
        out = np.full_like(observed, np.nan)
        return 1 - np.divide(observed, expected, out=out, where=expected > 1e-12)
