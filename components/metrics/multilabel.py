"""Metrics of several labels per row, for many weightings of the rows at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.metrics.classification import (
    BINS,
    FloatArray,
    Ranks,
    divide,
    equal_width_bins,
    mean_of_finite,
)

COUNTED = ("f1_macro", "f1_micro", "precision_macro", "recall_macro")
RANKED = ("roc_auc", "average_precision")
METRICS = ("subset_accuracy", "hamming_loss", *COUNTED, *RANKED, "log_loss", "brier", "calibration_error")
_TINY = float(np.finfo(np.float64).eps)


class WeightedMultilabel:
    """Metrics of fixed predictions of L labels, as a function of row weights.

    subset_accuracy is the share of rows
    with every label right; hamming_loss is the share of wrong labels. Macro averages run over the labels
    that occur; roc_auc and average_precision (mAP) over the labels that some rows have and others have not.
    log_loss, brier and calibration_error (ECE over 15 bins of equal width) run over all labels of all rows.

    Args:
        targets: (N, L) of 0 and 1.
        probabilities: (N, L).
        names: Metrics to compute, of METRICS.
        predicted: (N, L) bool; None takes the labels with a probability of at least one half.
    """

    def __init__(
        self,
        targets: FloatArray,
        probabilities: FloatArray,
        names: Sequence[str] = METRICS,
        predicted: NDArray[np.bool_] | None = None,
    ):
        self.names = tuple(names)
        self._true = targets > 0.5  # (N, L) bool
        self._predicted = probabilities >= 0.5 if predicted is None else predicted  # (N, L) bool
        wrong = self._true != self._predicted
        own = np.where(self._true, probabilities, 1 - probabilities)
        self._rows = {
            "subset_accuracy": (~wrong).all(axis=1).astype(np.float64),
            "hamming_loss": wrong.mean(axis=1),
            "log_loss": -np.log(np.clip(own, _TINY, 1)).mean(axis=1),
            "brier": np.square(1 - own).mean(axis=1),
        }
        self._gaps = None
        if "calibration_error" in names:
            bins = equal_width_bins(probabilities)
            self._gaps = np.stack(
                [((targets - probabilities) * (bins == number)).mean(axis=1) for number in range(BINS)]
            )  # (bins, N)
        if set(RANKED) & set(names):
            self._ranks = [Ranks.of(self._true[:, c], probabilities[:, c]) for c in range(targets.shape[1])]

    def __call__(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Compute {name: (R,)} for weights (N, R), each column of which has a positive sum."""
        total = weights.sum(axis=0)
        values = {name: row @ weights / total for name, row in self._rows.items()}
        if set(COUNTED) & set(self.names):
            values |= self._counted(weights)
        if set(RANKED) & set(self.names):
            both = np.array([ranks(weights) for ranks in self._ranks])  # (L, 2, R)
            values |= dict(zip(RANKED, mean_of_finite(both), strict=True))
        if self._gaps is not None:
            values["calibration_error"] = np.abs(self._gaps @ weights).sum(axis=0) / total
        return {name: values[name] for name in self.names}

    def _counted(self, weights: FloatArray) -> dict[str, FloatArray]:
        right, support, predicted = (
            table.T.astype(np.float64) @ weights
            for table in (self._true & self._predicted, self._true, self._predicted)
        )  # (L, R)
        occurs = support > 0
        labels = np.maximum(occurs.sum(axis=0), 1)

        def macro(values: FloatArray) -> FloatArray:
            return (values * occurs).sum(axis=0) / labels

        return {
            "f1_macro": macro(divide(2 * right, support + predicted)),
            "f1_micro": divide(2 * right.sum(axis=0), (support + predicted).sum(axis=0)),
            "precision_macro": macro(divide(right, predicted)),
            "recall_macro": macro(divide(right, support)),
        }
