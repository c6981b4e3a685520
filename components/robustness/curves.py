"""Robustness curves with intervals, from the predictions for damaged and incomplete rows."""

from collections.abc import Sequence

import numpy as np

from components.evaluation.bootstrap import bootstrap_intervals, paired_gain
from components.evaluation.intervals import UNDEFINED, Interval
from components.evaluation.replicates import Parts
from components.evaluation.results import Evaluation
from components.inference.ensemble import AVERAGE, Subset
from components.robustness.perturb import DELIVERED, StressPredictions
from components.robustness.results import (
    CorruptionCurve,
    Level,
    MissingCurve,
    MissingLevel,
    effective_robustness,
    relative_robustness,
)
from components.targets import AnyTarget, higher_is_better, metric


class Scorer:
    """Measurement of predictions by the evaluation's metric, with its number of resamples and confidence.

    Args:
        inputs: M names in the order of ``predictions.present``.
        values: (N, ...), encoded target, all known.
        predictions: Predictions for the N rows.
        parts: (N,) number of the independent part of each row; None if every row is its own.
    """

    def __init__(
        self,
        target: AnyTarget,
        inputs: Subset,
        values: np.ndarray,
        predictions: StressPredictions,
        evaluation: Evaluation,
        seed: int,
        parts: Parts | None = None,
    ) -> None:
        self.target, self.inputs, self.values = target, inputs, values
        self.predictions, self.evaluation, self.seed = predictions, evaluation, seed
        self.metric, self.parts = evaluation.metric, parts

    def has(self, name: str) -> np.ndarray:
        """Mark the rows that have the input. (N,) bool."""
        return self.predictions.present[:, self.inputs.index(name)]

    def corruption(self, name: str, kind: str, severities: Sequence[int]) -> CorruptionCurve:
        """Make the curve of one corruption of one input, on the rows that have the input."""
        rows = self.has(name)
        by_severity = {0: self.predictions.clean} | {
            severity: self.predictions.damaged[name, kind, severity] for severity in severities
        }
        levels = tuple(
            Level(
                severity,
                self._interval(predictions[DELIVERED], rows),
                self._interval(predictions[name], rows),
                self._value(predictions[AVERAGE], rows) if AVERAGE in predictions else float("nan"),
            )
            for severity, predictions in by_severity.items()
        )
        delivered = [level.delivered.value for level in levels]
        late = [level.late for level in levels]
        rising, steps = higher_is_better(self.metric), list(by_severity)
        other = self._best_other(name)
        return CorruptionCurve(
            input=name,
            corruption=kind,
            rows=int(rows.sum()),
            levels=levels,
            relative=relative_robustness(steps, delivered),
            relative_alone=relative_robustness(steps, [level.alone.value for level in levels]),
            effective=effective_robustness(steps, delivered, late, rising),
            loss=(delivered[0] - delivered[-1]) * (1 if rising else -1),
            other=other,
            other_metric=None if other is None else self._interval(self.predictions.clean[other], rows),
        )

    def missing(self, inputs: Subset, rates: Sequence[float]) -> MissingCurve:
        """Make the curve of some inputs hidden at random, on all rows."""
        everyone = np.ones(len(self.values), dtype=bool)
        levels = []
        for rate in rates:
            left, masked = self.predictions.left[inputs, rate], self.predictions.masked[inputs, rate]
            zeros = self.predictions.imputed[inputs, rate]
            draws = (self.evaluation.resamples, self.evaluation.confidence, self.seed, self.parts)
            levels.append(
                MissingLevel(
                    rate,
                    self._interval(masked, everyone),
                    self._interval(zeros, everyone),
                    paired_gain(self.target, self.values, masked, zeros, self.metric, *draws),
                    hidden=int((self.predictions.present & ~left).sum()),
                    empty=int((~left.any(axis=1)).sum()),
                )
            )
        return MissingCurve(inputs, tuple(levels))

    def _best_other(self, name: str) -> str | None:
        """Choose the best input other than one by the validation metric."""
        sign = 1 if higher_is_better(self.metric) else -1
        rivals = {
            candidate.name: sign * candidate.validation.get(self.metric, -sign * np.inf)
            for candidate in self.evaluation.candidates
            if candidate.kind == "single" and candidate.name != name
        }
        return max(rivals, key=lambda rival: rivals[rival], default=None)

    def _value(self, predictions: np.ndarray, rows: np.ndarray) -> float:
        return metric(self.target, self.metric, self.values[rows], predictions[rows])

    def _interval(self, predictions: np.ndarray, rows: np.ndarray) -> Interval:
        """Estimate the metric; NaN where it is not defined on these rows."""
        intervals = bootstrap_intervals(
            self.target,
            self.values[rows],
            predictions[rows],
            self.evaluation.resamples,
            self.evaluation.confidence,
            self.seed,
            (self.metric,),
            None if self.parts is None else self.parts[rows],
        )
        return intervals.get(self.metric, UNDEFINED)
