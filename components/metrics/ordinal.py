"""Metrics of ordered classes for many weightings of the same rows at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.metrics.classification import METRICS as CLASSIFICATION
from components.metrics.classification import FloatArray, IntArray, WeightedMetrics

ORDERED = ("mae", "within_one", "quadratic_kappa")
METRICS = CLASSIFICATION + ORDERED


class WeightedOrdinal:
    """All metrics of :class:`WeightedMetrics`, and those that know the order.

    mae is the mean distance between predicted and true class, in classes; within_one the share of rows at
    most one class off; quadratic_kappa the weighted kappa (Cohen 1968) with quadratic weights: 1 for
    agreement, 0 for chance.

    Args:
        targets: class indices (N,), lowest first.
        probabilities: (N, C).
        names: which of METRICS to compute.
    """

    def __init__(self, targets: IntArray, probabilities: FloatArray, names: Sequence[str] = METRICS):
        self.names = tuple(names)
        self.classes = probabilities.shape[1]
        plain = [name for name in names if name in CLASSIFICATION]
        self._plain = WeightedMetrics(targets, probabilities, plain) if plain else None
        self._targets, self._predicted = targets, probabilities.argmax(axis=1)
        self._distance = np.abs(self._predicted - targets).astype(np.float64)

    def __call__(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Metrics for each column of weights (N, R): {name: (R,)}."""
        total = weights.sum(axis=0)
        values = self._plain(weights) if self._plain else {}
        values["mae"] = self._distance @ weights / total
        values["within_one"] = (self._distance <= 1).astype(np.float64) @ weights / total
        values["quadratic_kappa"] = self._kappa(weights, total)
        return {name: values[name] for name in self.names}

    def _kappa(self, weights: FloatArray, total: FloatArray) -> FloatArray:
        """1 - observed over expected squared distance; NaN where all rows are of one class and said so."""
        truth, said = self._targets.astype(np.float64), self._predicted.astype(np.float64)
        observed = np.square(truth - said) @ weights / total
        mean_t, mean_s = truth @ weights / total, said @ weights / total
        square_t, square_s = np.square(truth) @ weights / total, np.square(said) @ weights / total
        expected = square_t + square_s - 2 * mean_t * mean_s  # of independent draws from the two margins
        out = np.full_like(observed, np.nan)
        return 1 - np.divide(observed, expected, out=out, where=expected > 1e-12)
