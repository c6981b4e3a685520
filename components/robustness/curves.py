"""From the answers to damaged and incomplete rows to robustness curves with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.evaluation.bootstrap import bootstrap_intervals, paired_gain
from components.evaluation.intervals import Interval
from components.evaluation.results import Evaluation
from components.inference.ensemble import AVERAGE, Pattern
from components.robustness.perturb import DELIVERED, Answers
from components.robustness.results import (
    CorruptionCurve,
    Level,
    MissingCurve,
    MissingLevel,
    effective_robustness,
    relative_robustness,
)
from components.targets import AnyTarget
from components.targets.metrics import higher_is_better, metric


class Scorer:
    """Scores answers by the evaluation's metric, with its number of resamples and its confidence.

    Args:
        target: What was predicted.
        inputs: M names in the order of ``answers.present``.
        values: Of the target, (N, ...), all known.
        answers: Of the N rows.
        evaluation: Of the delivered model.
        seed: Of the bootstrap.
    """

    def __init__(
        self,
        target: AnyTarget,
        inputs: Pattern,
        values: np.ndarray,
        answers: Answers,
        evaluation: Evaluation,
        seed: int,
    ) -> None:
        self.target, self.inputs, self.values = target, inputs, values
        self.answers, self.evaluation, self.seed = answers, evaluation, seed
        self.metric = evaluation.metric

    def has(self, name: str) -> np.ndarray:
        """Which rows have the input. (N,) bool."""
        return self.answers.present[:, self.inputs.index(name)]

    def corruption(self, name: str, kind: str, severities: Sequence[int]) -> CorruptionCurve:
        """The curve of one corruption of one input, on the rows that have the input."""
        rows = self.has(name)
        by_severity = {0: self.answers.clean} | {
            severity: self.answers.damaged[name, kind, severity] for severity in severities
        }
        levels = tuple(
            Level(
                severity,
                self._interval(answers[DELIVERED], rows),
                self._interval(answers[name], rows),
                self._value(answers[AVERAGE], rows) if AVERAGE in answers else float("nan"),
            )
            for severity, answers in by_severity.items()
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
            other_metric=None if other is None else self._interval(self.answers.clean[other], rows),
        )

    def missing(self, inputs: Pattern, rates: Sequence[float]) -> MissingCurve:
        """The curve of some inputs hidden at random, on all rows."""
        everyone = np.ones(len(self.values), dtype=bool)
        levels = []
        for rate in rates:
            kept, masked = self.answers.kept[inputs, rate], self.answers.masked[inputs, rate]
            zeros = self.answers.imputed[inputs, rate]
            draws = (self.evaluation.resamples, self.evaluation.confidence, self.seed)
            levels.append(
                MissingLevel(
                    rate,
                    self._interval(masked, everyone),
                    self._interval(zeros, everyone),
                    paired_gain(self.target, self.values, masked, zeros, self.metric, *draws),
                    hidden=int((self.answers.present & ~kept).sum()),
                    empty=int((~kept.any(axis=1)).sum()),
                )
            )
        return MissingCurve(inputs, tuple(levels))

    def _best_other(self, name: str) -> str | None:
        """The best input but one by the validation metric."""
        sign = 1 if higher_is_better(self.metric) else -1
        rivals = {
            candidate.name: sign * candidate.validation.get(self.metric, -sign * np.inf)
            for candidate in self.evaluation.candidates
            if candidate.kind == "single" and candidate.name != name
        }
        return max(rivals, key=lambda rival: rivals[rival], default=None)

    def _value(self, answers: np.ndarray, rows: np.ndarray) -> float:
        return metric(self.target, self.metric, self.values[rows], answers[rows])

    def _interval(self, answers: np.ndarray, rows: np.ndarray) -> Interval:
        """NaN where the metric is not defined on these rows."""
        found = bootstrap_intervals(
            self.target,
            self.values[rows],
            answers[rows],
            self.evaluation.resamples,
            self.evaluation.confidence,
            self.seed,
            (self.metric,),
        )
        return found.get(self.metric, Interval(float("nan"), float("nan"), float("nan")))
