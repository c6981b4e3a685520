"""Target with one of several classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from components.metrics.calibration import fit_temperature
from components.metrics.checks import check_probabilities, check_thresholds
from components.metrics.classification import METRICS, WeightedMetrics, row_losses
from components.metrics.thresholds import (
    EVEN,
    class_thresholds,
    decide_classes,
    split_thresholds,
    with_thresholds,
)
from components.targets.target import FloatArray, Scorer, Target, average

_TINY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Classification(Target):
    """Target with two or more classes; natural parameters are logits, predictions are probabilities.

    Attributes:
        classes: The C labels of the training rows, in the order of the probabilities.
        task: Kind of target, in stored files.
    """

    classes: tuple[str, ...]
    task: Literal["classification"] = "classification"
    metrics: ClassVar[tuple[str, ...]] = METRICS

    @property
    def width(self) -> int:
        return len(self.classes)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.classes

    def encode(self, cells: Sequence[str | None]) -> np.ndarray:
        """Return the class index of each row, (N,) int64, -1 where it has none."""
        return pd.Index(self.classes).get_indexer(pd.Index(cells, dtype=object)).astype(np.int64)

    def known(self, values: np.ndarray) -> NDArray[np.bool_]:
        return values >= 0

    def losses(
        self, natural: Tensor, values: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Compute the cross-entropy, (B,)."""
        return F.cross_entropy(natural, values, weight=weights, label_smoothing=smoothing, reduction="none")

    def balance(self, values: np.ndarray) -> Tensor | None:
        """Compute inverse frequencies, (C,), with mean 1 over the rows."""
        counts = np.bincount(values[values >= 0], minlength=self.width).clip(min=1)
        return torch.from_numpy(counts.sum() / (self.width * counts)).float()

    def prior(self, values: np.ndarray) -> Tensor:
        """Compute log frequencies, (C,), with mean 0."""
        counts = np.bincount(values[values >= 0], minlength=self.width)
        log = np.log(np.clip(counts / counts.sum(), 1e-6, 1))
        return torch.from_numpy(log - log.mean()).float()

    def predict(self, natural: Tensor) -> Tensor:
        return natural.softmax(1)

    def mix(self, predictions: Sequence[Tensor], shares: Sequence[float] | None = None) -> Tensor:
        return average(torch.stack(list(predictions)), shares).clamp(min=_TINY).log()

    def temperature(self, natural: Tensor, values: np.ndarray) -> float:
        return fit_temperature(natural.double().cpu().numpy(), values)

    def check(self, values: Any, predictions: Any) -> tuple[np.ndarray, FloatArray]:
        probabilities, thresholds = split_thresholds(predictions, self.width)
        truth, given = check_probabilities(values, probabilities, self.width)
        return truth, given if thresholds is None else with_thresholds(given, check_thresholds(thresholds))

    def scorer(self, values: np.ndarray, predictions: FloatArray, names: Sequence[str]) -> Scorer:
        probabilities = self.without_thresholds(predictions)
        return WeightedMetrics(values, probabilities, names, self.decide(predictions))

    def decide(self, predictions: FloatArray) -> np.ndarray:
        """Return the class of each row, (N,): the most probable, or the one furthest above its threshold."""
        return decide_classes(*split_thresholds(predictions, self.width))

    def labels(self, predictions: FloatArray) -> list[str]:
        """Return the name of each row's class."""
        return [self.classes[index] for index in self.decide(predictions)]

    def confidence(self, predictions: FloatArray) -> FloatArray:
        return predictions[np.arange(len(predictions)), self.decide(predictions)]

    def row_losses(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        return row_losses(values, self.without_thresholds(predictions))

    def thresholds(self, values: np.ndarray, predictions: FloatArray) -> FloatArray | None:
        if self.metric not in ("f1_macro", "f1_weighted"):
            return None
        return class_thresholds(values, predictions, weighted=self.metric == "f1_weighted")

    def leaning(self, predictions: FloatArray, answers: FloatArray) -> FloatArray:
        rows = np.arange(len(answers))
        return np.log(np.clip(predictions[rows, self.decide(answers)], _TINY, 1))

    def fixed_thresholds(self, threshold: float) -> FloatArray | None:
        is_even = threshold == EVEN or self.width != 2
        return None if is_even else np.array([1 - threshold, threshold])

    def nonconformity(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        """Compute 1 - probability of the class, (N,) (Sadinle et al. 2019)."""
        return 1 - predictions[np.arange(len(values)), values]
