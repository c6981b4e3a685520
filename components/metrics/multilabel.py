"""Metrics of sets of labels for many weightings of the same rows at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.metrics.classification import BINS, FloatArray, Ranks, equal_width_bins

COUNTED = ("f1_macro", "f1_micro", "precision_macro", "recall_macro")
RANKED = ("roc_auc", "average_precision")
METRICS = ("subset_accuracy", "hamming_loss", *COUNTED, *RANKED, "log_loss", "brier", "calibration_error")
_TINY = float(np.finfo(np.float64).eps)


class WeightedMultilabel:
    """The metrics of fixed predictions of L labels as a function of row weights.

    A label is predicted where its probability is at least one half. subset_accuracy is the share of rows
    with every label right; hamming_loss that of labels that are wrong. Macro averages run over the labels
    that occur; roc_auc and average_precision (then called mAP) over those that occur and are also absent
    somewhere. log_loss, brier and calibration_error (ECE over 15 bins of equal width) are over all labels
    of all rows.

    Args:
        targets: (N, L) of 0 and 1.
        probabilities: (N, L).
        names: which of METRICS to compute.
    """

    def __init__(self, targets: FloatArray, probabilities: FloatArray, names: Sequence[str] = METRICS):
        self.names = tuple(names)
        self._there, self._said = targets > 0.5, probabilities >= 0.5
        wrong = self._there != self._said
        own = np.where(self._there, probabilities, 1 - probabilities)
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
            self._ranks = [Ranks.of(self._there[:, c], probabilities[:, c]) for c in range(targets.shape[1])]

    def __call__(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Metrics for each column of weights (N, R), every column having a positive sum: {name: (R,)}."""
        total = weights.sum(axis=0)
        values = {name: row @ weights / total for name, row in self._rows.items()}
        if set(COUNTED) & set(self.names):
            values |= self._counted(weights)
        if set(RANKED) & set(self.names):
            both = np.array([ranks(weights) for ranks in self._ranks])  # (L, 2, R)
            finite = np.isfinite(both)
            count = finite.sum(axis=0)
            mean = np.divide(
                np.where(finite, both, 0).sum(axis=0),
                count,
                out=np.full(count.shape, np.nan),
                where=count > 0,
            )
            values |= dict(zip(RANKED, mean, strict=True))
        if self._gaps is not None:
            values["calibration_error"] = np.abs(self._gaps @ weights).sum(axis=0) / total
        return {name: values[name] for name in self.names}

    def _counted(self, weights: FloatArray) -> dict[str, FloatArray]:
        right, support, said = (
            table.T.astype(np.float64) @ weights
            for table in (self._there & self._said, self._there, self._said)
        )  # (L, R)
        occurs = support > 0
        labels = np.maximum(occurs.sum(axis=0), 1)

        def macro(values: FloatArray) -> FloatArray:
            return (values * occurs).sum(axis=0) / labels

        return {
            "f1_macro": macro(_divide(2 * right, support + said)),
            "f1_micro": _divide(2 * right.sum(axis=0), (support + said).sum(axis=0)),
            "precision_macro": macro(_divide(right, said)),
            "recall_macro": macro(_divide(right, support)),
        }


def _divide(a: FloatArray, b: FloatArray) -> FloatArray:
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
