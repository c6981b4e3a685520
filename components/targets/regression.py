"""Target with a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from components.metrics.checks import check_numbers
from components.metrics.regression import METRICS, REACH, InnerScale, WeightedRegression, gaussian_losses
from components.targets.target import FloatArray, Scorer, Target, average

_LEAST_PRECISION = 1e-4  # of a standardised target: a deviation of a hundred times that of all rows
_UNIT = float(np.log(np.e - 1))  # its softplus is 1, so that a head starts at the prior
_COLDEST, _HOTTEST = 0.01, 100.0
_FURTHEST, _WIDEST = 10.0, 2.0  # deviations of all rows, of a prediction on the log scale
_FOLDS, _FEWEST = 5, 50
_GAIN = 0.1  # nats per row by which a log scale has to be more likely

Values = TypeVar("Values", NDArray[np.float64], Tensor)


@dataclass(frozen=True)
class Regression(Target):
    """Target with a number, predicted as a Gaussian.

    Natural parameters are mean / variance and 1 / variance of the standardised number; training is stable in
    this form (Immer et al. 2023, https://arxiv.org/abs/2309.14568, section 3). A prediction is mean and
    standard deviation in the unit of the manifest.

    A skewed number is Gaussian on a log scale. Mean and deviation of a prediction are then those of the
    log-normal distribution, whose median is lower; intervals reach further up than down.

    Attributes:
        mean: Mean of the training rows, of their logarithm where there is a ``shift``.
        std: Standard deviation of the training rows, likewise.
        loss: ``gaussian`` likelihood; or ``huber`` (Huber 1964) or ``absolute`` for the mean, robust to
            outliers, while the variance still comes from the likelihood.
        task: Kind of target, in stored files.
        shift: Number that is added before the logarithm is taken; None takes none.
        least: Least sum of number and shift: smaller ones count as this.
    """

    mean: float
    std: float
    loss: Literal["gaussian", "huber", "absolute"]
    task: Literal["regression"] = "regression"
    shift: float | None = None
    least: float = 0.0
    metrics: ClassVar[tuple[str, ...]] = METRICS

    @property
    def width(self) -> int:
        return 2

    @property
    def columns(self) -> tuple[str, ...]:
        return ("mean", "std")

    def encode(self, cells: Sequence[str | None]) -> np.ndarray:
        """Convert cells to (N,) float64, NaN where a cell is empty."""
        return np.array([np.nan if cell is None else float(cell) for cell in cells])

    def known(self, values: np.ndarray) -> NDArray[np.bool_]:
        return ~np.isnan(values)

    def standardised(self, values: Values) -> Values:
        """Convert numbers of the manifest (array or tensor) to the scale on which they are predicted."""
        return (self._inner(values) - self.mean) / self.std

    def gaussian(self, predictions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give mean and standard deviation, (N,) each, on the scale on which a prediction is Gaussian."""
        mean, deviation = predictions.T
        if self.shift is None:
            return mean, deviation
        moved = np.maximum(mean + self.shift, self.least)  # of a model without a shift it may be below 0
        variance = np.log1p(np.square(deviation / moved))
        return np.log(moved) - variance / 2, np.sqrt(variance)

    def interval(self, predictions: FloatArray, reach: Any) -> tuple[FloatArray, FloatArray]:
        """Give the ends, (N,) each, of the interval of ``reach`` deviations to both sides."""
        mean, deviation = self.gaussian(predictions)
        low, high = mean - reach * deviation, mean + reach * deviation
        if self.shift is None:
            return low, high
        with np.errstate(over="ignore"):  # without validation rows the reach is infinite
            return np.exp(low) - self.shift, np.exp(high) - self.shift

    def _inner(self, values: Values) -> Values:
        if self.shift is None:
            return values
        if isinstance(values, Tensor):
            return (values + self.shift).clamp(min=self.least).log()
        return np.log(np.maximum(values + self.shift, self.least))

    def natural(self, outputs: Tensor) -> Tensor:
        shift, precision = outputs.unbind(-1)
        return torch.stack([shift, F.softplus(precision + _UNIT) + _LEAST_PRECISION], dim=-1)

    def outputs(self, natural: Tensor) -> Tensor:
        shift, precision = natural.unbind(-1)
        softplus = (precision - _LEAST_PRECISION).clamp(min=_LEAST_PRECISION)
        return torch.stack([shift, softplus + (-torch.expm1(-softplus)).log() - _UNIT], dim=-1)

    def raw_precision(self, precision: float) -> float:
        """Return the output of a linear head that :meth:`natural` converts to this precision."""
        softplus = precision - _LEAST_PRECISION
        return softplus + float(np.log(-np.expm1(-softplus))) - _UNIT

    def proper(self, natural: Tensor, least: Tensor | None = None) -> Tensor:
        shift, precision = natural.unbind(-1)
        if least is not None:  # a precision near 0 would give an extreme mean
            precision = torch.maximum(precision, least[..., 1])
        return torch.stack([shift, precision.clamp(min=_LEAST_PRECISION)], dim=-1)

    def losses(
        self, natural: Tensor, values: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Compute the negative log-likelihood of the standardised number, or the robust loss, (B,)."""
        shift, precision = natural.unbind(-1)
        mean = shift / precision
        truth = self.standardised(values).to(natural.dtype)
        if self.loss == "gaussian":
            return 0.5 * (precision * (truth - mean).square() - precision.log())
        robust = F.huber_loss if self.loss == "huber" else F.l1_loss
        spread = 0.5 * (precision * (truth - mean.detach()).square() - precision.log())
        return robust(mean, truth, reduction="none") + spread

    def balance(self, values: np.ndarray) -> Tensor | None:
        return None

    def prior(self, values: np.ndarray) -> Tensor:
        """Return the prior of the standardised training rows: mean 0, variance 1."""
        return torch.tensor([0.0, 1.0])

    def predict(self, natural: Tensor) -> Tensor:
        shift, precision = natural.unbind(-1)
        if self.shift is not None:
            # An answer far from all training rows would be no number any more.
            middle = (shift / precision).clamp(-_FURTHEST, _FURTHEST) * self.std + self.mean
            variance = precision.clamp(min=1 / _WIDEST**2).reciprocal() * self.std**2
            mean = (middle + variance / 2).exp()
            return torch.stack([mean - self.shift, mean * variance.expm1().sqrt()], dim=-1)
        return torch.stack([shift / precision * self.std + self.mean, precision.rsqrt() * self.std], dim=-1)

    def mix(self, predictions: Sequence[Tensor], shares: Sequence[float] | None = None) -> Tensor:
        """Return natural parameters with mean and variance of the mixture."""
        stacked = torch.stack(list(predictions))  # (M, N, 2)
        if self.shift is not None:
            return self._log_mix(stacked, shares)
        means, variances = (stacked[..., 0] - self.mean) / self.std, (stacked[..., 1] / self.std).square()
        mean = average(means, shares)
        variance = average(variances + means.square(), shares) - mean.square()
        precision = 1 / variance.clamp(min=1e-12)
        return torch.stack([mean * precision, precision], dim=-1)

    def _log_mix(self, predictions: Tensor, shares: Sequence[float] | None) -> Tensor:
        """Give natural parameters of the log-normal distribution with mean and variance of the mixture."""
        assert self.shift is not None
        means = (predictions[..., 0] + self.shift).clamp(min=self.least)
        variances = predictions[..., 1].square()
        mean = average(means, shares)
        relative = (average(variances + means.square(), shares) / mean.square() - 1).clamp(min=1e-12)
        variance = relative.log1p()
        precision = self.std**2 / variance
        middle = (mean.log() - variance / 2 - self.mean) / self.std
        return torch.stack([middle * precision, precision], dim=-1)

    def temperature(self, natural: Tensor, values: np.ndarray) -> float:
        """Fit the mean squared error in units of the predicted variance; one more row pulls it towards 1."""
        shift, precision = natural.double().cpu().unbind(-1)
        truth = self.standardised(torch.from_numpy(values))
        ratio = ((truth - shift / precision).square() * precision).numpy()
        return float(np.clip((ratio.sum() + 1) / (len(ratio) + 1), _COLDEST, _HOTTEST))

    def check(self, values: Any, predictions: Any) -> tuple[np.ndarray, FloatArray]:
        return check_numbers(values, predictions)

    def scorer(self, values: np.ndarray, predictions: FloatArray, names: Sequence[str]) -> Scorer:
        if self.shift is None:
            return WeightedRegression(values, predictions, names)
        truth, (mean, deviation) = self._inner(values), self.gaussian(predictions)
        low, high = self.interval(predictions, REACH)
        inner = InnerScale(truth, mean, deviation, high - low, truth)
        return WeightedRegression(values, predictions, names, inner)

    def labels(self, predictions: FloatArray) -> list[str]:
        """Write the mean with four significant digits."""
        return [f"{value:.4g}" for value in predictions[:, 0]]

    def confidence(self, predictions: FloatArray) -> FloatArray:
        """Return the standard deviation, (N,)."""
        return predictions[:, 1]

    def row_losses(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        if self.shift is None:
            return gaussian_losses(values, predictions)
        truth = self._inner(values)
        return gaussian_losses(truth, np.stack(self.gaussian(predictions), 1)) + truth

    def leaning(self, predictions: FloatArray, answers: FloatArray) -> FloatArray:
        return predictions[:, 0]

    def nonconformity(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        """Compute the distance from the mean in predicted deviations, (N,) (Lei et al. 2018, section 5.2)."""
        mean, deviation = self.gaussian(predictions)
        return np.abs(self._inner(values) - mean) / deviation


def log_shift(numbers: FloatArray) -> float | None:
    """Give what is to be added to training numbers before their logarithm; None where some are below 0.

    Numbers above 0 need nothing; else it is the lower quartile of those that are.
    """
    if numbers.min() < 0 or not (numbers > 0).any():
        return None
    return 0.0 if numbers.min() > 0 else float(np.quantile(numbers[numbers > 0], 0.25))


def prefers_log(numbers: FloatArray, shift: float) -> bool:
    """Decide by the likelihood of numbers that were left out if training numbers have a log scale.

    The comparison of transformations by Box & Cox (1964, section 3), with the logarithm's Jacobian; here each
    of 5 folds under the Gaussian of the others, and only for a clear gain.
    """
    if len(numbers) < _FEWEST:
        return False
    logs = np.log(numbers + shift)
    return _held_out(logs, logs) - _held_out(numbers, np.zeros_like(numbers)) > _GAIN


def _held_out(values: FloatArray, jacobian: FloatArray) -> float:
    """Mean log-likelihood of values under the Gaussian of the other folds, less ``jacobian``."""
    order = np.random.default_rng(0).permutation(len(values)) % _FOLDS
    total = 0.0
    for fold in range(_FOLDS):
        inside, outside = values[order == fold], values[order != fold]
        given = np.tile([outside.mean(), outside.std() + 1e-12], (len(inside), 1))
        total -= float((gaussian_losses(inside, given) + jacobian[order == fold]).sum())
    return total / len(values)
