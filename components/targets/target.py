"""What every target is: cells to numbers, a network's outputs to predictions, and how these are judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]
Scorer = Callable[[FloatArray], dict[str, FloatArray]]
"""Metrics as a function of row weights (N, R): {name: (R,)}, NaN where one is not defined."""


@dataclass(frozen=True)
class Target(ABC):
    """One thing that is predicted.

    What a network gives for a row are the *natural parameters* of a distribution: logits of classes or
    labels; for a number the mean divided by the variance, and one over the variance. In this form
    calibration is division by a temperature, and inputs that are independent given the target are combined
    by a sum, less the prior that each of them has in it. So one late fusion, one temperature and one
    choice among candidates serve every kind of target.

    Attributes:
        name: Column of the manifest.
        metric: By which training stops, candidates are chosen and the headline is told.
        metrics: Names of all metrics, see :mod:`components.targets.metrics`.
    """

    name: str
    metric: str
    metrics: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def task(self) -> str:
        """Word for the kind, as in the configuration."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Natural parameters K of a row."""

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Names of the P numbers of a prediction."""

    @abstractmethod
    def encode(self, cells: Sequence[str | None]) -> np.ndarray:
        """Cells of the samples table as numbers: (N,) int64 or float64, or (N, L) float64.

        A row without the target has -1 (classes) or NaN.
        """

    @abstractmethod
    def known(self, values: np.ndarray) -> NDArray[np.bool_]:
        """Which rows of :meth:`encode`'s result have the target. (N,)."""

    def natural(self, outputs: Tensor) -> Tensor:
        """A linear head's outputs (..., K) as natural parameters (..., K)."""
        return outputs

    def proper(self, natural: Tensor, least: Tensor | None = None) -> Tensor:
        """Sums and differences of natural parameters, brought back to where they are a distribution.

        Args:
            natural: (..., K).
            least: (..., K) natural parameters than which the distribution shall not be less sure.
        """
        return natural

    @abstractmethod
    def losses(
        self, natural: Tensor, values: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Loss of each row.

        Args:
            natural: (B, K).
            values: (B,) or (B, L), all known.
            smoothing: Share of the target spread over all classes, where there are classes.
            weights: What :meth:`balance` gave.

        Returns:
            (B,).
        """

    @abstractmethod
    def balance(self, values: np.ndarray) -> Tensor | None:
        """Weights against unequal frequencies, from training rows; None where there is nothing to weigh."""

    @abstractmethod
    def prior(self, values: np.ndarray) -> Tensor:
        """Natural parameters (K,) of the answer without any input, from training rows."""

    @abstractmethod
    def predict(self, natural: Tensor) -> Tensor:
        """Natural parameters (N, K) as predictions (N, P)."""

    @abstractmethod
    def mix(self, predictions: Sequence[Tensor]) -> Tensor:
        """Natural parameters (N, K) of the average of several predictions (N, P)."""

    @abstractmethod
    def temperature(self, natural: Tensor, values: np.ndarray) -> float:
        """What natural parameters (N, K) of rows not trained on are best divided by."""

    @abstractmethod
    def check(self, values: Any, predictions: Any) -> tuple[np.ndarray, FloatArray]:
        """Values and predictions as arrays.

        Raises:
            DataError: There is not one row, or a value cannot be one of this target.
            ModelError: The predictions have another shape or are not finite.
        """

    @abstractmethod
    def scorer(self, values: np.ndarray, predictions: FloatArray, names: Sequence[str]) -> Scorer:
        """Metrics of fixed, checked predictions under any weighting of the rows."""

    @abstractmethod
    def labels(self, predictions: FloatArray) -> list[str]:
        """The answer of each row in a word."""

    @abstractmethod
    def confidence(self, predictions: FloatArray) -> FloatArray:
        """How sure each answer is: a probability, or for a number its standard deviation. (N,)."""

    @abstractmethod
    def row_losses(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        """Negative log-likelihood of each row, in nats. (N,)."""

    @abstractmethod
    def leaning(self, predictions: FloatArray, answers: FloatArray) -> FloatArray:
        """What each input's share of a row is counted in.

        Args:
            predictions: (N, P), made from some of the inputs.
            answers: (N, P), made from all of them: what was answered.

        Returns:
            (N,): log-probability (nats) of the answer, or the predicted number.
        """

    @abstractmethod
    def nonconformity(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        """How badly a value fits its prediction, for conformal prediction: (N,), or (N, L) by label."""
