"""Results of distillation: the same student with its teacher and alone, seed by seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from components.distillation.expectation import Expectation
from components.evaluation.bootstrap import Rivals, bootstrap_intervals, mean_gain, paired_gain
from components.evaluation.intervals import (
    UNDEFINED,
    Gain,
    Interval,
    Significance,
    Stored,
    bounds,
    signed,
    t_interval,
)
from components.evaluation.replicates import Parts
from components.results.table import Table, interval, number, text
from components.targets import AnyTarget

_SEEDS = 8
_HELPS: dict[Significance, str] = {
    "yes": "helps",
    "no": "does not help",
    "unclear": "may or may not help",
}


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

    The mean gain has two sources of chance, hence two intervals. `over_rows` is the bootstrap over test rows
    for just these trained models. `over_seeds` is Student's t interval over the seeds' gains for just these
    rows (NaN with a single seed).
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
    def verdict(self) -> Significance:
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
    expectations: tuple[Expectation, ...] = ()  # of students whose teacher was cross-fitted
    in_sample: int = 0  # training rows for which the teacher's prediction is not out of fold

    @property
    def headline(self) -> str:
        """The gain of every student in one line."""
        return "; ".join(f"{student.name}: {signed(student.over_rows)}" for student in self.students)

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence per student, and the teacher's own result."""
        return (
            *map(self._sentence, self.students),
            *(each.sentence for each in self.expectations),
            *self._doubts(),
            f"Teacher: {' + '.join(self.teacher_inputs)}, test {self.metric} {self.teacher.value:.3f}.",
        )

    def _doubts(self) -> Iterator[str]:
        """Say what weakens the verdicts."""
        fewest = min((len(student.seeds) for student in self.students), default=_SEEDS)
        if fewest < _SEEDS:
            yield f"{fewest} seeds: an interval over fewer than {_SEEDS} seeds is wide and uncertain itself."
        if self.in_sample:
            yield (
                f"For {self.in_sample} training rows the teacher's predictions are not out of fold, so it is "
                "surer of them than of others; a pipeline with training.folds gives a teacher that is not."
            )

    def _sentence(self, student: StudentResult) -> str:
        over_seeds = f", {signed(student.over_seeds)} over seeds" if len(student.seeds) > 1 else ""
        return (
            f"{student.name}: the teacher {_HELPS[student.verdict]}: test {self.metric} "
            f"{student.taught:.3f} with it, {student.alone:.3f} alone, "
            f"gain {signed(student.over_rows)} over rows{over_seeds}."
        )

    def metrics(self) -> dict[str, float]:
        """Flat metrics: ``text_gain``, ``text_gain_low`` over rows, ``text_gain_seeds_low``, ..."""
        values = {f"teacher_test_{self.metric}": self.teacher.value}
        for student in self.students:
            name = student.name
            values |= {
                f"{name}_alone_test_{self.metric}": student.alone,
                f"{name}_with_teacher_test_{self.metric}": student.taught,
                **bounds(f"{name}_gain", student.over_rows),
                f"{name}_gain_seeds_low": student.over_seeds.low,
                f"{name}_gain_seeds_high": student.over_seeds.high,
            }
        return values

    def tables(self) -> dict[str, Table]:
        """The students, and each of their seeds."""
        tables = {"distillation": self._student_table(), "distillation_seeds": self._seed_table()}
        return {name: table for name, table in tables.items() if table.rows}

    def _student_table(self) -> Table:
        metric, level = self.metric, f"{self.confidence:.0%}"
        return Table.of(
            f"All on the same {self.rows} test rows. Two {level} intervals of the mean gain over the seeds: "
            f"over rows, the paired bootstrap ({self.resamples} resamples) for these trained models; over "
            "seeds, Student's t for these rows. 'yes' needs both above 0. Test rows are new to teacher "
            "and students.",
            self.students,
            (text("student"), lambda student: student.name),
            (text("inputs"), lambda student: " + ".join(student.inputs)),
            (number("parameters", "", brief=""), lambda student: student.parameters),
            (number(f"{metric} alone", brief="alone"), lambda student: student.alone),
            (number(f"{metric} with teacher", brief="with teacher"), lambda student: student.taught),
            (number("gain", "+.3f"), lambda student: student.over_rows.value),
            (interval("over rows", "+.3f", ("low (rows)", "high (rows)")), lambda student: student.over_rows),
            (
                interval("over seeds", "+.3f", ("low (seeds)", "high (seeds)"), undefined="one seed"),
                lambda student: student.over_seeds,
            ),
            (text("helps", brief=""), lambda student: student.verdict),
            (number("expected worth", ".1f", brief="", undefined="not measured"), self._worth),
            (number(f"{metric} of the teacher", brief=""), lambda student: self.teacher.value),
            title=f"{self.rows} test rows, {level} intervals, means over the seeds",
        )

    def _worth(self, student: StudentResult) -> float:
        """Return what the teacher was expected to be worth, times the labels; NaN where not measured."""
        return next((each.worth for each in self.expectations if each.student == student.name), float("nan"))

    def _seed_table(self) -> Table:
        return Table.of(
            "Each seed: the same student from the same initial weights, alone and with the teacher.",
            ((student.name, seed) for student in self.students for seed in student.seeds),
            (text("student"), lambda row: row[0]),
            (number("seed", ""), lambda row: row[1].seed),
            (number(f"val {self.metric} alone"), lambda row: row[1].alone_validation),
            (number(f"val {self.metric} with teacher"), lambda row: row[1].taught_validation),
            (number(f"test {self.metric} alone"), lambda row: row[1].alone.value),
            (number(f"test {self.metric} with teacher"), lambda row: row[1].taught.value),
            (number("gain", "+.3f"), lambda row: row[1].gain.value),
            (interval("interval", "+.3f"), lambda row: row[1].gain),
        )


@dataclass(frozen=True)
class Arm:
    """One training of a student.

    Attributes:
        seed: Seed of the training.
        validation: Metric on validation rows.
        predictions: (N, P), for the test rows.
    """

    seed: int
    validation: float
    predictions: np.ndarray


class StudentEvaluator:
    """Evaluation of students and teacher on the same test rows with the same resamples.

    Args:
        values: Encoded target of the N test rows, all known.
        resamples, confidence, seed: Settings of the bootstrap.
        parts: (N,) number of the independent part of each row; None if every row is its own.
    """

    def __init__(
        self,
        target: AnyTarget,
        values: np.ndarray,
        metric: str,
        resamples: int,
        confidence: float,
        seed: int,
        parts: Parts | None = None,
    ) -> None:
        self.target, self.values, self.metric, self.parts = target, values, metric, parts
        self.draws = (resamples, confidence, seed)

    def interval(self, predictions: np.ndarray) -> Interval:
        """Estimate the metric of one model; NaN where it is not defined."""
        intervals = bootstrap_intervals(
            self.target, self.values, predictions, *self.draws, names=(self.metric,), parts=self.parts
        )
        return intervals.get(self.metric, UNDEFINED)

    def student(
        self,
        name: str,
        inputs: tuple[str, ...],
        parameters: int,
        alone: Sequence[Arm],
        taught: Sequence[Arm],
    ) -> StudentResult:
        """Compare the arms of one student, in the same order of seeds."""
        arms = list(zip(taught, alone, strict=True))
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
                    parts=self.parts,
                ),
            )
            for with_it, without in arms
        )
        return StudentResult(
            name=name,
            inputs=inputs,
            parameters=parameters,
            seeds=seeds,
            over_rows=mean_gain(
                [
                    Rivals(self.target, self.values, with_it.predictions, without.predictions, self.parts)
                    for with_it, without in arms
                ],
                self.metric,
                *self.draws,
            ),
            over_seeds=t_interval([seed.gain.value for seed in seeds], self.draws[1]),
        )
