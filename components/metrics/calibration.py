"""Calibration of probabilities: temperature scaling and reliability tables (Guo et al. 2017)."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from components.errors import DataError, ModelError
from components.metrics.checks import check_probabilities
from components.metrics.classification import BINS, FloatArray, IntArray, equal_width_bins

# A temperature outside of these would only mean that rows are too few or perfectly separated.
_COLDEST, _HOTTEST = 0.05, 20.0


def softmax(logits: ArrayLike) -> FloatArray:
    """Convert logits (N, C) to probabilities (N, C) without overflow."""
    return np.asarray(special.softmax(np.asarray(logits, dtype=np.float64), axis=1))


def apply(logits: ArrayLike, temperature: float) -> FloatArray:
    """Compute softmax(logits / temperature), (N, C); the order of the classes does not change."""
    return softmax(np.asarray(logits, dtype=np.float64) / temperature)


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """Find the temperature in [0.05, 20] with the smallest negative log-likelihood of the targets.

    A penalty worth about one row pulls it towards 1. Otherwise perfectly separated rows would give unbounded
    confidence.

    Args:
        logits: (N, C) logits of rows that the model was not trained on.
        targets: (N,) class indices.

    Raises:
        DataError: If there are no rows.
        ModelError: If a logit is not a finite number.
    """
    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.int64)
    if len(truth) == 0:
        raise DataError("there are no rows to calibrate on; give the val split at least one row")
    if not np.isfinite(scores).all():
        raise ModelError("logits are not finite numbers; training diverged: lower training.learning_rate")
    own = scores[np.arange(len(truth)), truth]

    def likelihood(inverse: float) -> float:
        return float((special.logsumexp(scores * inverse, axis=1) - own * inverse).sum())

    return _best(likelihood, len(truth))


def fit_binary_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """Do as :func:`fit_temperature` for independent labels: logits and targets (0 or 1) are (N, L)."""
    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if len(truth) == 0:
        raise DataError("there are no rows to calibrate on; give the val split at least one row")
    if not np.isfinite(scores).all():
        raise ModelError("logits are not finite numbers; training diverged: lower training.learning_rate")
    signed = np.where(truth > 0.5, -scores, scores)
    return _best(lambda inverse: float(np.logaddexp(0, signed * inverse).sum()), len(truth))


def _best(likelihood: Callable[[float], float], rows: int) -> float:
    """Minimise the penalised negative log-likelihood, which is a function of 1 / temperature."""

    def loss(log_temperature: float) -> float:
        return (likelihood(float(np.exp(-log_temperature))) + log_temperature**2) / rows

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    best = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    # Where the likelihood is flat (all logits equal), no temperature is better than none.
    return float(np.exp(best.x)) if best.fun < loss(0.0) else 1.0


def reliability(targets: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> pd.DataFrame:
    """Compute the accuracy of the top class per bin of its probability.

    calibration_error is Σ count·|accuracy − confidence| / N over the rows of this table.

    Args:
        targets: (N,) class indices.
        probabilities: (N, C).
        bins: Number of bins of equal width.

    Returns:
        A row per bin: low, high, count, confidence (mean top probability) and accuracy. The last two are
        NaN in empty bins.
    """
    targets, probabilities = check_probabilities(targets, probabilities)
    top = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(top)), top]
    return _bins(equal_width_bins(confidence, bins), confidence, top == targets, bins)


def _bins(group: IntArray, confidence: FloatArray, right: NDArray[np.bool_], bins: int) -> pd.DataFrame:
    count = np.bincount(group, minlength=bins)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "low": np.arange(bins) / bins,
                "high": np.arange(1, bins + 1) / bins,
                "count": count,
                "confidence": np.bincount(group, confidence, bins) / count,
                "accuracy": np.bincount(group, right, bins) / count,
            }
        )


def label_reliability(targets: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> pd.DataFrame:
    """Do as :func:`reliability` for all labels of all rows: the share of present labels per bin."""
    truth = np.asarray(targets, dtype=np.float64).ravel()
    confidence = np.asarray(probabilities, dtype=np.float64).ravel()
    return _bins(equal_width_bins(confidence, bins), confidence, truth > 0.5, bins)


def quantile_reliability(
    targets: ArrayLike, means: ArrayLike, deviations: ArrayLike, bins: int = BINS
) -> pd.DataFrame:
    """Compute the share of numbers inside the central interval of each probability (Kuleshov et al. 2018).

    Args:
        targets: (N,) true numbers.
        means: (N,) predicted means.
        deviations: (N,) predicted standard deviations.
        bins: Number of probabilities.

    Returns:
        A row per probability: low and high of its bin, count of all rows, confidence (the probability) and
        accuracy (the share of rows inside).
    """
    truth, mean, deviation = (np.asarray(x, dtype=np.float64) for x in (targets, means, deviations))
    level = (np.arange(bins) + 0.5) / bins
    reach = stats.norm.ppf(0.5 + level / 2)
    inside = np.abs(truth - mean)[:, None] <= deviation[:, None] * reach  # (N, bins)
    return pd.DataFrame(
        {
            "low": np.arange(bins) / bins,
            "high": np.arange(1, bins + 1) / bins,
            "count": len(truth),
            "confidence": level,
            "accuracy": inside.mean(axis=0),
        }
    )
