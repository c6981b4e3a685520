"""Interface of targets: encoding of cells, predictions from outputs, and evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]
Scorer = Callable[[FloatArray], dict[str, FloatArray]]
"""Function of row weights (N, R) that gives metrics {name: (R,)}, NaN where one is not defined."""


@dataclass(frozen=True)
class Target(ABC):
    """Quantity that a model predicts.

    The output of a network for a row are the *natural parameters* of a distribution. For classes and labels
    these are logits; for a number, mean / variance and 1 / variance. In this form calibration is a division
    by a temperature. Inputs that are independent given the target are combined by a sum, less the prior
    that each of them contains. So one late fusion, one temperature and one selection serve every kind of
    target.

    Predictions of classes and labels may have C decision thresholds beside the P numbers of a row
    (:mod:`components.metrics.thresholds`). What decides uses them; what is about probabilities does not.

    Attributes:
        name: Column of the manifest.
        metric: Metric of early stopping, selection and the headline.
        metrics: Names of all metrics, see :mod:`components.targets.metrics`.
    """

    name: str
    metric: str
    metrics: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def task(self) -> str:
        """Name of the kind, as in the configuration."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Number K of natural parameters per row."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Names of the P numbers of a prediction."""

    @abstractmethod
    def encode(self, cells: Sequence[str | None]) -> np.ndarray:
        """Encode cells of the samples table as numbers: (N,) int64 or float64, or (N, L) float64.

        A row without the target has -1 (classes) or NaN.
        """

    @abstractmethod
    def known(self, values: np.ndarray) -> NDArray[np.bool_]:
        """Return (N,) bool, True for rows of :meth:`encode`'s result that have the target."""

    def natural(self, outputs: Tensor) -> Tensor:
        """Convert a linear head's outputs (..., K) to natural parameters (..., K)."""
        return outputs

    def outputs(self, natural: Tensor) -> Tensor:
        """Convert natural parameters (..., K) to the outputs that :meth:`natural` makes them of."""
        return natural

    def proper(self, natural: Tensor, least: Tensor | None = None) -> Tensor:
        """Make sums and differences of natural parameters a valid distribution.

        Args:
            natural: (..., K) sums or differences.
            least: (..., K) natural parameters whose precision is the lower bound.
        """
        return natural

    @abstractmethod
    def losses(
        self, natural: Tensor, values: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of each row.

        Args:
            natural: (B, K) natural parameters.
            values: (B,) or (B, L) encoded values, all known.
            smoothing: Share of the target spread over all classes, for classes and labels.
            weights: Weights from :meth:`balance`.

        Returns:
            (B,).
        """

    @abstractmethod
    def balance(self, values: np.ndarray) -> Tensor | None:
        """Compute weights against unequal frequencies from training rows; None without classes."""

    @abstractmethod
    def prior(self, values: np.ndarray) -> Tensor:
        """Estimate natural parameters (K,) of a prediction without any input, from training rows."""

    @abstractmethod
    def predict(self, natural: Tensor) -> Tensor:
        """Convert natural parameters (N, K) to predictions (N, P)."""

    @abstractmethod
    def mix(self, predictions: Sequence[Tensor], shares: Sequence[float] | None = None) -> Tensor:
        """Average several predictions (N, P) and return their natural parameters (N, K).

        Args:
            predictions: At least one.
            shares: Weight of each; None weighs all alike.
        """

    @abstractmethod
    def temperature(self, natural: Tensor, values: np.ndarray) -> float:
        """Fit the temperature, a divisor of natural parameters (N, K), on rows not trained on."""

    @abstractmethod
    def check(self, values: Any, predictions: Any) -> tuple[np.ndarray, FloatArray]:
        """Convert values and predictions to arrays and check them.

        Raises:
            DataError: If there are no rows, or a value is not valid for this target.
            ModelError: If the predictions have another shape or are not finite.
        """

    @abstractmethod
    def scorer(self, values: np.ndarray, predictions: FloatArray, names: Sequence[str]) -> Scorer:
        """Build the function that computes metrics of fixed, checked predictions from row weights."""

    @abstractmethod
    def labels(self, predictions: FloatArray) -> list[str]:
        """Write the prediction of each row as text."""

    @abstractmethod
    def confidence(self, predictions: FloatArray) -> FloatArray:
        """Return the confidence of each prediction, (N,): a probability, or a number's standard deviation."""

    @abstractmethod
    def row_losses(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        """Compute the negative log-likelihood of each row in nats, (N,)."""

    @abstractmethod
    def leaning(self, predictions: FloatArray, answers: FloatArray) -> FloatArray:
        """Compute the value that the inputs' shares of a row divide among them.

        Args:
            predictions: (N, P) from a subset of the inputs.
            answers: (N, P) from all inputs.

        Returns:
            (N,) log-probability (nats) of the prediction from all inputs, or the predicted number.
        """

    def thresholds(self, values: np.ndarray, predictions: FloatArray) -> FloatArray | None:
        """Find decision thresholds (C,) by the metric, on rows not trained on.

        Args:
            values: (N, ...), all known.
            predictions: (N, P), calibrated.

        Returns:
            One for each class or label; None where the metric asks for none.
        """
        return None

    def fixed_thresholds(self, threshold: float) -> FloatArray | None:
        """Return the thresholds (C,) for a configured one; None for those of :meth:`labels` without any."""
        return None

    def without_thresholds(self, predictions: FloatArray) -> FloatArray:
        """Take decision thresholds off predictions: (N, P)."""
        return predictions[:, : len(self.columns)]

    @abstractmethod
    def nonconformity(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        """Compute the nonconformity of values for conformal prediction: (N,), or (N, L) by label."""


def average(values: Tensor, shares: Sequence[float] | None) -> Tensor:
    """Average (M, ...) over the first axis, with a weight of each or all alike."""
    if shares is None:
        return values.mean(0)
    weights = values.new_tensor(shares)
    return torch.tensordot(weights / weights.sum(), values, dims=1)
