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
from components.targets.scales import Asinh, Log, Own, Scale
from components.targets.target import FloatArray, Scorer, Target, average

_LEAST_PRECISION = 1e-4  # of a standardised target: a deviation of a hundred times that of all rows
_UNIT = float(np.log(np.e - 1))  # its softplus is 1, so that a head starts at the prior
_COLDEST, _HOTTEST = 0.01, 100.0
_FURTHEST, _WIDEST = 10.0, 2.0  # deviations of all rows, of a prediction on another scale

Values = TypeVar("Values", NDArray[np.float64], Tensor)


@dataclass(frozen=True)
class Regression(Target):
    """Target with a number, predicted as a Gaussian.

    Natural parameters are mean / variance and 1 / variance of the standardised number; training is stable in
    this form (Immer et al. 2023, https://arxiv.org/abs/2309.14568, section 3). A prediction is mean and
    standard deviation in the unit of the manifest.

    A number with long tails is Gaussian on another scale, a logarithm or an inverse hyperbolic sine. Mean and
    deviation of a prediction are then those of the number itself, whose median is elsewhere; intervals reach
    further to the side of the longer tail.

    Attributes:
        mean: Mean of the training rows, on the scale.
        std: Standard deviation of the training rows, likewise.
        loss: ``gaussian`` likelihood; or ``huber`` (Huber 1964) or ``absolute`` for the mean, robust to
            outliers, while the variance still comes from the likelihood.
        task: Kind of target, in stored files.
        shift: Number that is added before the logarithm is taken; None takes none.
        least: Least sum of number and shift: smaller ones count as this.
        centre: Number where the inverse hyperbolic sine is 0; None takes none.
        spread: Distance from the centre at which it becomes a logarithm.
    """

    mean: float
    std: float
    loss: Literal["gaussian", "huber", "absolute"]
    task: Literal["regression"] = "regression"
    shift: float | None = None
    least: float = 0.0
    centre: float | None = None
    spread: float = 1.0
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

    @property
    def scale(self) -> Scale:
        """Scale on which a prediction is Gaussian."""
        if self.centre is not None:
            return Asinh(self.centre, self.spread)
        return Own() if self.shift is None else Log(self.shift, self.least)

    def standardised(self, values: Values) -> Values:
        """Convert numbers of the manifest (array or tensor) to the scale on which they are predicted."""
        if isinstance(values, Tensor):
            return (self.scale.inner(values) - self.mean) / self.std
        return (self._inner(values) - self.mean) / self.std

    def gaussian(self, predictions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give mean and standard deviation, (N,) each, on the scale on which a prediction is Gaussian."""
        means, deviations = torch.from_numpy(np.ascontiguousarray(predictions, np.float64)).unbind(1)
        mean, variance = self.scale.gaussian(means, deviations.square())
        return mean.numpy(), variance.sqrt().numpy()

    def interval(self, predictions: FloatArray, reach: Any) -> tuple[FloatArray, FloatArray]:
        """Give the ends, (N,) each, of the interval of ``reach`` deviations to both sides."""
        mean, deviation = self.gaussian(predictions)
        return self.scale.outer(mean - reach * deviation), self.scale.outer(mean + reach * deviation)

    def _inner(self, values: np.ndarray) -> FloatArray:
        return np.asarray(self.scale.inner(torch.from_numpy(np.asarray(values, np.float64))).numpy())

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
        middle, variance = shift / precision, precision.reciprocal()
        if not isinstance(self.scale, Own):
            # A prediction far from all training rows would be no number any more.
            middle, variance = middle.clamp(-_FURTHEST, _FURTHEST), variance.clamp(max=_WIDEST**2)
        moments = self.scale.moments(middle * self.std + self.mean, variance * self.std**2)
        return torch.stack(moments, dim=-1)

    def mix(self, predictions: Sequence[Tensor], shares: Sequence[float] | None = None) -> Tensor:
        """Return natural parameters with mean and variance of the mixture."""
        means, deviations = torch.stack(list(predictions)).unbind(-1)  # (M, N) each
        mean = average(means, shares)
        apart = average(deviations.square() + (means - mean).square(), shares)
        middle, variance = self.scale.gaussian(mean, apart)
        precision = 1 / (variance / self.std**2).clamp(min=1e-12)
        return torch.stack([(middle - self.mean) / self.std * precision, precision], dim=-1)

    def temperature(self, natural: Tensor, values: np.ndarray) -> float:
        """Fit the mean squared error in units of the predicted variance; one more row pulls it towards 1."""
        shift, precision = natural.double().cpu().unbind(-1)
        truth = self.standardised(torch.from_numpy(values))
        ratio = ((truth - shift / precision).square() * precision).numpy()
        return float(np.clip((ratio.sum() + 1) / (len(ratio) + 1), _COLDEST, _HOTTEST))

    def check(self, values: Any, predictions: Any) -> tuple[np.ndarray, FloatArray]:
        return check_numbers(values, predictions)

    def scorer(self, values: np.ndarray, predictions: FloatArray, names: Sequence[str]) -> Scorer:
        if isinstance(self.scale, Own):
            return WeightedRegression(values, predictions, names)
        truth, (mean, deviation) = self._inner(values), self.gaussian(predictions)
        low, high = self.interval(predictions, REACH)
        inner = InnerScale(truth, mean, deviation, high - low, self.scale.log_slope(truth))
        return WeightedRegression(values, predictions, names, inner)

    def labels(self, predictions: FloatArray) -> list[str]:
        """Write the mean with four significant digits."""
        return [f"{value:.4g}" for value in predictions[:, 0]]

    def confidence(self, predictions: FloatArray) -> FloatArray:
        """Return the standard deviation, (N,)."""
        return predictions[:, 1]

    def row_losses(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        truth = self._inner(values)
        under = np.stack(self.gaussian(predictions), 1)
        return np.asarray(gaussian_losses(truth, under) + self.scale.log_slope(truth))

    def leaning(self, predictions: FloatArray, answers: FloatArray) -> FloatArray:
        return predictions[:, 0]

    def nonconformity(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        """Compute the distance from the mean in predicted deviations, (N,) (Lei et al. 2018, section 5.2)."""
        mean, deviation = self.gaussian(predictions)
        return np.abs(self._inner(values) - mean) / deviation
