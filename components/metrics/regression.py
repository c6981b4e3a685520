"""Metrics of numbers, for many weightings of the rows at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from components.metrics.classification import FloatArray

METRICS = (
    "r2",
    "rmse",
    "mae",
    "mape",
    "log_loss",
    "interval_coverage",
    "interval_width",
    "calibration_error",
)
LEVEL = 0.9  # probability of the central interval of interval_coverage and interval_width
BINS = 15
REACH = float(stats.norm.ppf(0.5 + LEVEL / 2))


@dataclass(frozen=True)
class InnerScale:
    """Scale on which predictions are Gaussian, where that is not the scale of the numbers.

    Attributes:
        targets: (N,) targets.
        mean: (N,) predicted means.
        deviation: (N,) predicted standard deviations.
        width: (N,) widths of the central intervals of probability LEVEL, on the scale of the numbers.
        jacobian: (N,) log of the numbers' change per change on this scale.
    """

    targets: FloatArray
    mean: FloatArray
    deviation: FloatArray
    width: FloatArray
    jacobian: FloatArray


class WeightedRegression:
    """Metrics of fixed predictions of a number, as a function of row weights.

    r2 is 1 - squared error / variance of the targets; mape the mean of |error / target| over the rows whose
    target is not 0; log_loss the negative log-likelihood (nats) of the predicted Gaussian;
    interval_coverage the share of targets inside the central 90 % interval of the Gaussian, interval_width
    its mean width; calibration_error the mean distance between the probability of a central interval and
    the share of rows inside, over 15 probabilities (Kuleshov et al. 2018).

    Args:
        targets: (N,).
        predictions: (N, 2), mean and standard deviation.
        names: Metrics to compute, of METRICS.
        inner: Scale of log loss, coverage and calibration; None is that of the numbers.
    """

    def __init__(
        self,
        targets: FloatArray,
        predictions: FloatArray,
        names: Sequence[str] = METRICS,
        inner: InnerScale | None = None,
    ) -> None:
        self.names = tuple(names)
        mean, deviation = predictions.T
        error = targets - mean
        if inner is None:
            inner = InnerScale(targets, mean, deviation, 2 * REACH * deviation, np.zeros_like(mean))
        apart = np.abs(inner.targets - inner.mean)
        self._targets = targets
        self._squares = np.square(error)
        self._counts = targets != 0
        self._relative = np.abs(np.divide(error, targets, out=np.zeros_like(error), where=self._counts))
        self._rows = {
            "mae": np.abs(error),
            "log_loss": gaussian_losses(inner.targets, np.stack([inner.mean, inner.deviation], 1))
            + inner.jacobian,
            "interval_coverage": (apart <= REACH * inner.deviation).astype(np.float64),
            "interval_width": inner.width,
        }
        level = (np.arange(BINS) + 0.5) / BINS
        self._level = level
        self._inside = apart <= inner.deviation * stats.norm.ppf(0.5 + level / 2)[:, None]  # (bins, N)

    def __call__(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Compute {name: (R,)} for weights (N, R), each column of which has a positive sum."""
        total = weights.sum(axis=0)
        values = {name: row @ weights / total for name, row in self._rows.items()}
        squared = self._squares @ weights / total
        centre = self._targets.mean()  # subtracted to avoid cancellation in the variance
        moved = self._targets - centre
        variance = np.square(moved) @ weights / total - np.square(moved @ weights / total)
        counted = self._counts.astype(np.float64) @ weights
        undefined = np.full_like(squared, np.nan)
        values["rmse"] = np.sqrt(squared)
        values["r2"] = 1 - np.divide(
            squared, variance, out=undefined.copy(), where=variance > 1e-12 * centre**2
        )
        values["mape"] = np.divide(self._relative @ weights, counted, out=undefined.copy(), where=counted > 0)
        shares = self._inside.astype(np.float64) @ weights / total  # (bins, R)
        values["calibration_error"] = np.abs(shares - self._level[:, None]).mean(axis=0)
        return {name: values[name] for name in self.names}


def gaussian_losses(targets: FloatArray, predictions: FloatArray) -> FloatArray:
    """Compute the negative log-likelihood in nats, (N,), of targets (N,) under Gaussians (N, 2)."""
    mean, deviation = predictions.T
    return np.asarray(-stats.norm.logpdf(targets, mean, deviation))
