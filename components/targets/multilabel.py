"""Target with any number of labels per row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from components.metrics.calibration import fit_binary_temperature
from components.metrics.checks import check_label_probabilities, check_thresholds
from components.metrics.multilabel import METRICS, WeightedMultilabel
from components.metrics.thresholds import (
    EVEN,
    decide_labels,
    label_thresholds,
    shared_threshold,
    split_thresholds,
    with_thresholds,
)
from components.targets.target import FloatArray, Scorer, Target, average

_TINY = 1e-9


@dataclass(frozen=True)
class Multilabel(Target):
    """Target with L labels, each present or absent; natural parameters are logits, predictions probabilities.

    Attributes:
        classes: The L labels of the training rows.
        separator: Separator of the labels in a cell.
        none: Word that stands for no label, if a cell holds nothing else.
        task: Kind of target, in stored files.
    """

    classes: tuple[str, ...]
    separator: str
    none: str
    task: Literal["multilabel"] = "multilabel"
    metrics: ClassVar[tuple[str, ...]] = METRICS

    @property
    def width(self) -> int:
        return len(self.classes)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.classes

    def encode(self, cells: Sequence[str | None]) -> np.ndarray:
        """Encode labels, (N, L) float64: 1 where a row has the label, else 0; NaN if the cell is empty."""
        column_of = {name: column for column, name in enumerate(self.classes)}
        values = np.zeros((len(cells), self.width))
        for row, cell in enumerate(cells):
            if cell is None:
                values[row] = np.nan
                continue
            for label in split_labels(cell, self.separator, self.none):
                if label in column_of:
                    values[row, column_of[label]] = 1
        return values

    def known(self, values: np.ndarray) -> NDArray[np.bool_]:
        return ~np.isnan(values).any(axis=1)

    def losses(
        self, natural: Tensor, values: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Compute the mean binary cross-entropy over the labels, (B,)."""
        truth = values.to(natural.dtype) * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(natural, truth, pos_weight=weights, reduction="none").mean(
            1
        )

    def balance(self, values: np.ndarray) -> Tensor | None:
        """Compute the ratio of rows without and with each label, (L,)."""
        have = values[self.known(values)].sum(axis=0).clip(min=1)
        return torch.from_numpy((self.known(values).sum() - have).clip(min=1) / have).float()

    def prior(self, values: np.ndarray) -> Tensor:
        """Compute the log odds of the frequencies, (L,)."""
        share = values[self.known(values)].mean(axis=0).clip(1e-6, 1 - 1e-6)
        return torch.from_numpy(np.log(share / (1 - share))).float()

    def predict(self, natural: Tensor) -> Tensor:
        return natural.sigmoid()

    def mix(self, predictions: Sequence[Tensor], shares: Sequence[float] | None = None) -> Tensor:
        return torch.logit(average(torch.stack(list(predictions)), shares), eps=_TINY)

    def temperature(self, natural: Tensor, values: np.ndarray) -> float:
        return fit_binary_temperature(natural.double().cpu().numpy(), values)

    def check(self, values: Any, predictions: Any) -> tuple[np.ndarray, FloatArray]:
        probabilities, thresholds = split_thresholds(predictions, self.width)
        truth, given = check_label_probabilities(values, probabilities, self.width)
        return truth, given if thresholds is None else with_thresholds(given, check_thresholds(thresholds))

    def scorer(self, values: np.ndarray, predictions: FloatArray, names: Sequence[str]) -> Scorer:
        probabilities = self.without_thresholds(predictions)
        return WeightedMultilabel(values, probabilities, names, self.decide(predictions))

    def decide(self, predictions: FloatArray) -> NDArray[np.bool_]:
        """Mark the labels whose probability reaches their threshold, else one half: (N, L) bool."""
        return decide_labels(*split_thresholds(predictions, self.width))

    def labels(self, predictions: FloatArray) -> list[str]:
        """Write the labels of each row."""
        return [
            self.separator.join(name for name, present in zip(self.classes, row, strict=True) if present)
            or self.none
            for row in self.decide(predictions)
        ]

    def confidence(self, predictions: FloatArray) -> FloatArray:
        """Return the probability, (N,), that all labels are right, as if they were independent."""
        probabilities = self.without_thresholds(predictions)
        return np.where(self.decide(predictions), probabilities, 1 - probabilities).prod(axis=1)

    def row_losses(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        """Sum the negative log-likelihood over the labels, (N,)."""
        probabilities = self.without_thresholds(predictions)
        own = np.where(values > 0.5, probabilities, 1 - probabilities)
        return -np.log(np.clip(own, _TINY, 1)).sum(axis=1)

    def leaning(self, predictions: FloatArray, answers: FloatArray) -> FloatArray:
        probabilities = self.without_thresholds(predictions)
        own = np.where(self.decide(answers), probabilities, 1 - probabilities)
        return np.log(np.clip(own, _TINY, 1)).sum(axis=1)

    def nonconformity(self, values: np.ndarray, predictions: FloatArray) -> FloatArray:
        """Compute 1 - probability of each label's true state, (N, L)."""
        probabilities = self.without_thresholds(predictions)
        return np.where(values > 0.5, 1 - probabilities, probabilities)

    def thresholds(self, values: np.ndarray, predictions: FloatArray) -> FloatArray | None:
        if self.metric == "subset_accuracy":  # each label at its more probable state
            return None
        if self.metric == "f1_micro":
            return np.full(self.width, shared_threshold(values, predictions))
        return label_thresholds(values, predictions)

    def fixed_thresholds(self, threshold: float) -> FloatArray | None:
        return None if threshold == EVEN else np.full(self.width, threshold)


def split_labels(cell: str, separator: str, none: str) -> list[str]:
    """Split a cell into labels without surrounding blanks; ``none`` alone gives no label."""
    labels = [label.strip() for label in cell.split(separator)]
    labels = [label for label in labels if label]
    return [] if labels == [none] else labels
