"""Target with a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from components.metrics.checks import check_numbers
from components.metrics.regression import METRICS, WeightedRegression, gaussian_losses
from components.targets.target import FloatArray, Scorer, Target, average

_LEAST_PRECISION = 1e-4  # of a standardised target: a deviation of a hundred times that of all rows
_UNIT = float(np.log(np.e - 1))  # its softplus is 1, so that a head starts at the prior
_COLDEST, _HOTTEST = 0.01, 100.0


@dataclass(frozen=True)
class Regression(Target):
    """Target with a number, predicted as a Gaussian.

    Natural parameters are mean / variance and 1 / variance of the standardised number; training is stable in
    this form (Immer et al. 2023, https://arxiv.org/abs/2309.14568, section 3). A prediction is mean and
    standard deviation in the unit of the manifest.

    Attributes:
        mean: Mean of the training rows.
        std: Standard deviation of the training rows.
        loss: ``gaussian`` likelihood; or ``huber`` (Huber 1964) or ``absolute`` for the mean, robust to
            outliers, while the variance still comes from the likelihood.
        task: Kind of target, in stored files.
    """

    mean: float
    std: float
    loss: Literal["gaussian", "huber", "absolute"]
    task: Literal["regression"] = "regression"
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
        truth = (values.to(natural.dtype) - self.mean) / self.std
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
        return torch.stack([shift / precision * self.std + self.mean, precision.rsqrt() * self.std], dim=-1)

    def mix(self, predictions: Sequence[Tensor], shares: Sequence[float] | None = None) -> Tensor:
        """Return natural parameters with mean and variance of the mixture."""
        stacked = torch.stack(list(predictions))  # (M, N, 2)
        means, variances = (stacked[..., 0] - self.mean) / self.std, (stacked[..., 1] / self.std).square()
        mean = average(means, shares)
        variance = average(variances + means.square(), shares) - mean.square()
        precision = 1 / variance.clamp(min=1e-12)
        return torch.stack([mean * precision, precision], dim=-1)

    def temperature(self, natural: Tensor, values: np.ndarray) -> float:
        """Fit the mean squared error in units of the predicted variance; one more row pulls it towards 1."""
        shift, precision = natural.double().cpu().unbind(-1)
        truth = (torch.from_numpy(values) - self.mean) / self.std
        ratio = ((truth - shift / precision).square() * precision).numpy()
        return float(np.clip((ratio.sum() + 1) / (len(ratio) + 1), _COLDEST, _HOTTEST))

    def check(self, values: Any, predictions: Any) -> tuple[np.ndarray, FloatArray]:
        return check_numbers(values, predictions)

    def scorer(self, values: np.ndarray, predictions: FloatArray, names: Sequence[str]) -> Scorer:
        return WeightedRegression(values, predictions, names)

    def labels(self, predictions: FloatArray) -> list[str]:
        """Write the mean with four significant digits."""
        return [f"{value:.4g}" for value in predictions[:, 0]]

    def confidence(self, predictions: FloatArray) -> FloatArray:
        """Return the standard deviation, (N,)."""
        return predictions[:, 1]

    def row_losses(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        return gaussian_losses(values, predictions)

    def leaning(self, predictions: FloatArray, answers: FloatArray) -> FloatArray:
        return predictions[:, 0]

    def nonconformity(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        """Compute the distance from the mean in predicted deviations, (N,) (Lei et al. 2018, section 5.2)."""
        return np.abs(values - predictions[:, 0]) / predictions[:, 1]
