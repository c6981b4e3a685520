"""Whether a teacher's help made students better: the same student with and without it, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.evaluation.bootstrap import Rivals, bootstrap_intervals, mean_gain, paired_gain
from components.evaluation.intervals import Gain, Interval, Stored, Verdict, t_interval
from components.targets import AnyTarget

UNDEFINED = Interval(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class SeedResult(Stored):
    """One student trained twice from the same initial weights, over the same order of rows.

    `gain` is taught against alone on the test rows, its interval from the paired bootstrap over rows.
    """

    seed: int
    alone_validation: float
    taught_validation: float
    alone: Interval
    taught: Interval
    gain: Gain


@dataclass(frozen=True)
class StudentResult(Stored):
    """One student over all seeds. `alone`, `taught` and both gains are means over the seeds, on test rows.

    Of the mean gain there are two intervals, as it has two sources of chance: `over_rows` is the bootstrap
    over test rows for just these trained models; `over_seeds` is Student's t interval over the seeds' gains
    for just these rows (NaN with a single seed).
    """

    name: str
    inputs: tuple[str, ...]
    parameters: int
    seeds: tuple[SeedResult, ...]
    over_rows: Gain
    over_seeds: Interval

    @property
    def alone(self) -> float:
        """Mean test metric without the teacher."""
        return float(np.mean([seed.alone.value for seed in self.seeds]))

    @property
    def taught(self) -> float:
        """Mean test metric with the teacher."""
        return float(np.mean([seed.taught.value for seed in self.seeds]))

    @property
    def verdict(self) -> Verdict:
        """'yes' when both intervals are above 0, 'no' when neither reaches above it, else 'unclear'.

        With a single seed the interval over rows alone decides.
        """
        if np.isnan(self.over_seeds.low):
            return self.over_rows.verdict
        if self.over_rows.low > 0 and self.over_seeds.low > 0:
            return "yes"
        return "no" if self.over_rows.high <= 0 and self.over_seeds.high <= 0 else "unclear"


@dataclass(frozen=True)
class DistillationResult(Stored):
    """All students of one teacher."""

    target: str
    metric: str
    confidence: float
    resamples: int
    rows: int  # of test
    teacher_name: str
    teacher_inputs: tuple[str, ...]
    teacher: Interval  # its own test metric
    students: tuple[StudentResult, ...]


@dataclass(frozen=True)
class Arm:
    """One training of a student.

    Attributes:
        seed: Of the training.
        validation: Metric on validation rows.
        predictions: (N, P) of the test rows.
    """

    seed: int
    validation: float
    predictions: np.ndarray


class Judge:
    """Scores students and teacher on the same test rows with the same resamples.

    Args:
        target: What is predicted.
        values: Of the N test rows, all known.
        metric: One of the target's.
        resamples, confidence, seed: Of the bootstrap.
    """

    def __init__(
        self,
        target: AnyTarget,
        values: np.ndarray,
        metric: str,
        resamples: int,
        confidence: float,
        seed: int,
    ) -> None:
        self.target, self.values, self.metric = target, values, metric
        self.draws = (resamples, confidence, seed)

    def interval(self, predictions: np.ndarray) -> Interval:
        """The metric of one model; NaN where it is not defined."""
        found = bootstrap_intervals(self.target, self.values, predictions, *self.draws, names=(self.metric,))
        return found.get(self.metric, UNDEFINED)

    def student(
        self,
        name: str,
        inputs: tuple[str, ...],
        parameters: int,
        alone: Sequence[Arm],
        taught: Sequence[Arm],
    ) -> StudentResult:
        """One student; its arms in the same order of seeds."""
        pairs = [
            (with_it.predictions, without.predictions) for with_it, without in zip(taught, alone, strict=True)
        ]
        seeds = tuple(
            SeedResult(
                seed=without.seed,
                alone_validation=without.validation,
                taught_validation=with_it.validation,
                alone=self.interval(without.predictions),
                taught=self.interval(with_it.predictions),
                gain=paired_gain(
                    self.target,
                    self.values,
                    with_it.predictions,
                    without.predictions,
                    self.metric,
                    *self.draws,
                ),
            )
            for with_it, without in zip(taught, alone, strict=True)
        )
        return StudentResult(
            name=name,
            inputs=inputs,
            parameters=parameters,
            seeds=seeds,
            over_rows=mean_gain(
                [Rivals(self.target, self.values, *pair) for pair in pairs], self.metric, *self.draws
            ),
            over_seeds=t_interval([seed.gain.value for seed in seeds], self.draws[1]),
        )
