"""Results of an evaluation, as frozen dataclasses that travel as JSON: no arrays, no pickle."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, replace
from typing import Literal

from components.evaluation.calibration import CalibrationResult, ConformalResult
from components.evaluation.intervals import (
    UNDEFINED,
    Gain,
    Interval,
    Significance,
    Stored,
    bounds,
    shown,
    signed,
)
from components.evaluation.over_time import PeriodResult
from components.evaluation.samples import Media, Sample
from components.results.table import Cell, Table, interval, number, text

CandidateKind = Literal["single", "average", "late", "trees", "fusion", "ensemble", "delivered"]
_HELPS: dict[Significance, str] = {
    "yes": "Fusion helps",
    "no": "Fusion does not help",
    "unclear": "Whether fusion helps is unclear",
}


@dataclass(frozen=True)
class CandidateResult(Stored):
    """One model that could have been delivered, or the one that was."""

    name: str
    kind: CandidateKind
    inputs: tuple[str, ...]
    validation: dict[str, float]
    test: dict[str, Interval]

    def on_validation(self, metric: str) -> float:
        """A metric on validation; NaN where it is not defined on the rows."""
        return self.validation.get(metric, float("nan"))

    def on_test(self, metric: str) -> Interval:
        """A metric on test; NaN where it is not defined on the rows."""
        return self.test.get(metric, UNDEFINED)


@dataclass(frozen=True)
class SubsetResult(Stored):
    """The delivered model when it is given only some inputs.

    `drop` is the loss against all inputs: positive when the subset is worse, for every metric.
    `candidate` names the candidate that answers for this subset, where that differs from subset to subset.
    """

    inputs: tuple[str, ...]
    metric: Interval
    drop: float
    candidate: str | None = None


@dataclass(frozen=True)
class ClassResult(Stored):
    """One row of the per-class table; NaN where a value is not defined."""

    name: str
    support: int
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float


@dataclass(frozen=True)
class BalanceResult(Stored):
    """Metric of a fused model from one input, against that input's own fit, on validation rows that have it.

    `ratio` is (inside - prior) / (solo - prior): 1 where the fused model gets as much from the input alone as
    its own fit does, 0 where it gets nothing; NaN where the fit itself is no better than the prior.
    """

    solo: float
    inside: float
    prior: float
    ratio: float


@dataclass(frozen=True)
class LearnerResult(Stored):
    """One of several encoders of an input, or their combination.

    Attributes:
        input: Name of the input.
        name: Name of the encoder, or that of the input for the combination.
        metric: Metric on rows that the fit has not learned from.
        weight: Share in the combination; None for the combination itself.
        seconds: Duration of its trainings; NaN where it has none.
    """

    input: str
    name: str
    metric: float
    weight: float | None
    seconds: float


@dataclass(frozen=True)
class Evaluation(Stored):
    """Everything that evaluate() measured of one target on the test rows."""

    target: str
    task: str
    metric: str
    confidence: float
    resamples: int
    seed: int
    rows: dict[str, int]  # "val", "test"
    classes: tuple[str, ...]
    inputs: tuple[str, ...]
    candidates: tuple[CandidateResult, ...]  # single inputs, average, fusion; the delivered model last
    best_single: str  # by the validation metric
    fusion: str | None  # the fusion that was compared; None with one input
    chosen: str  # the candidate that is delivered
    fusion_gain: Gain | None  # fusion against the best single input
    fusion_mcnemar: float | None  # exact p-value for the same two
    delivered_gain: Gain  # delivered model against the best single input
    subsets: tuple[SubsetResult, ...]
    shapley: dict[
        str, float
    ]  # what each input brings: they sum to metric(all) − prior_value, positive is better
    interactions: dict[str, float]  # Shapley interaction of each pair, "a × b"; positive is synergy
    prior_value: float  # metric of the answer without any input
    per_class: tuple[ClassResult, ...]  # by class or label; none of a number
    confusion: tuple[tuple[int, ...], ...]  # [label][predicted]; classes alone
    scatter: tuple[tuple[float, float], ...]  # true and predicted; numbers alone
    balance: dict[str, BalanceResult]  # by input; empty without a fusion
    warn_below: float  # ratio below which an input is under-optimised
    calibration: CalibrationResult
    conformal: ConformalResult
    samples: tuple[Sample, ...]  # highest loss first
    answerable: int | None = None  # test rows that have the best single input; None of an earlier braid
    answerable_gain: Gain | None = None  # fusion against the best single input on these rows
    version: int = 3
    over_time: tuple[PeriodResult, ...] = ()  # empty where rows have no time
    learners: tuple[LearnerResult, ...] = ()  # of inputs with several encoders
    # decision thresholds of the delivered model: inputs joined by " + " → class or label → threshold
    thresholds: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def delivered(self) -> CandidateResult:
        """The delivered model's own line."""
        return self.candidates[-1]

    @property
    def score(self) -> Interval:
        """The delivered model's chosen metric on test; NaN where it is not defined on the test rows."""
        return self.delivered.on_test(self.metric)

    @property
    def fusion_helps(self) -> Significance:
        """Verdict on fusion against the best single input on test; 'no' when there is nothing to fuse."""
        return self.fusion_gain.verdict if self.fusion_gain else "no"

    @property
    def under_optimised(self) -> tuple[str, ...]:
        """Inputs from which the fused model learned much less than there is."""
        return tuple(name for name, balance in self.balance.items() if balance.ratio < self.warn_below)

    @property
    def worst_subset(self) -> SubsetResult | None:
        """The proper subset that loses most; None with one input."""
        proper = [subset for subset in self.subsets if len(subset.inputs) < len(self.inputs)]
        return max(proper, key=lambda subset: subset.drop, default=None)

    @property
    def headline(self) -> str:
        """The delivered model, its result on test, and its gain over the best single input, in one line."""
        return (
            f"{self.chosen} delivered: test {self.metric} {shown(self.score)}, "
            f"{signed(self.delivered_gain)} against {self.best_single} alone"
        )

    @property
    def fusion_finding(self) -> str:
        """Comparison of the fusion with the best single input, in a sentence."""
        if self.fusion_gain is None:
            return f"{self.best_single} is the only input: there is nothing to fuse."
        sentence = f"{_HELPS[self.fusion_helps]}: {signed(self.fusion_gain)} against {self.best_single} alone"
        if self.answerable_gain is None or self.answerable == self.rows["test"]:
            return f"{sentence}."
        return (
            f"{sentence}; {signed(self.answerable_gain)} on the {self.answerable} of {self.rows['test']} "
            f"test rows that have {self.best_single}."
        )

    @property
    def balance_warnings(self) -> tuple[str, ...]:
        """A sentence for each input that the fused model neglects."""
        return tuple(
            f"Under-optimised input: {name}. Given it alone, the fused model reaches "
            f"{self.balance[name].inside:.3f} {self.metric}, its own fit "
            f"{self.balance[name].solo:.3f}. Try balance.cure."
            for name in self.under_optimised
        )

    @property
    def findings(self) -> tuple[str, ...]:
        """Sentences: fusion, the choice on validation, the worst subset, neglected inputs, shares."""
        lines = [self.fusion_finding]
        if self.chosen != "fusion" and self.fusion is not None:
            lines.append(
                f"On rows that nothing had learned from {self.chosen} did better than the fusion, so "
                f"{self.chosen} is delivered: {signed(self.delivered_gain)} against {self.best_single} alone."
            )
        worst = self.worst_subset
        if worst is not None:
            lines.append(
                f"Worst subset of inputs: {' + '.join(worst.inputs)}, "
                f"{worst.metric.value:.3f} ({-worst.drop:+.3f})."
            )
        shares = ", ".join(f"{name} {share:+.3f}" for name, share in self.shapley.items())
        return (*lines, *self.balance_warnings, f"Shapley shares of {self.metric}: {shares}.")

    def metrics(self) -> dict[str, float]:
        """Flat metrics with the same names in every run: ``test_accuracy``, ``fusion_gain``, ..."""
        values: dict[str, float] = {}
        for name, measured in self.delivered.test.items():
            values |= bounds(f"test_{name}", measured)
        values |= {f"val_{name}": value for name, value in self.delivered.validation.items()}
        for candidate in self.candidates[:-1]:
            values[f"{candidate.name}_val_{self.metric}"] = candidate.on_validation(self.metric)
            values |= bounds(f"{candidate.name}_test_{self.metric}", candidate.on_test(self.metric))
        gains = {
            "fusion_gain": self.fusion_gain,
            "fusion_gain_answerable": self.answerable_gain,
            "delivered_gain": self.delivered_gain,
        }
        for label, gain in gains.items():
            if gain is not None:
                values |= bounds(label, gain)
        values |= {f"shapley_{name}": share for name, share in self.shapley.items()}
        for pair, value in self.interactions.items():
            values[f"interaction_{pair.replace(' × ', '_and_')}"] = value
        for subset in self.subsets:
            values[f"subset_{'_and_'.join(subset.inputs)}_{self.metric}"] = subset.metric.value
        if self.worst_subset is not None:
            values["worst_subset_drop"] = self.worst_subset.drop
        for learner in self.learners:
            name = f"{learner.input}_{learner.name}".replace(" ", "_")
            values[f"learner_{name}_{self.metric}"] = learner.metric
            if learner.weight is not None:
                values[f"learner_{name}_weight"] = learner.weight
        return values | {
            "calibration_error_before": self.calibration.error_before,
            "calibration_error_after": self.calibration.error_after,
            "temperature": self.calibration.temperature,
            **{f"balance_{name}": balance.ratio for name, balance in self.balance.items()},
            "conformal_coverage": self.conformal.coverage.value,
            "conformal_size": self.conformal.size,
            "abstained": self.conformal.abstained,
        }

    def tables(self) -> dict[str, Table]:
        """The tables that people compare: candidates, subsets, classes, shares of the inputs, periods."""
        tables = {
            "results": self._candidate_table(),
            "subsets": self._subset_table(),
            "learners": self._learner_table(),
            "classes": self._class_table(),
            "shares": Table(
                f"What each input adds to {self.metric}: Shapley values over all subsets of inputs.",
                (text("input"), number("shapley share", "+.3f")),
                tuple(self.shapley.items()),
            ),
            "over_time": self._time_table(),
            "coverage": self._coverage_table(),
        }
        return {name: table for name, table in tables.items() if table.rows}

    def _class_table(self) -> Table:
        columns = [
            text("name"),
            number("support", ""),
            *map(number, ("precision", "recall", "f1", "roc_auc", "average_precision")),
        ]
        rows: list[tuple[Cell, ...]] = [astuple(each) for each in self.per_class]
        for inputs, thresholds in self.thresholds.items():
            columns.append(number(f"threshold ({inputs})"))
            rows = [(*row, thresholds[each.name]) for row, each in zip(rows, self.per_class, strict=True)]
        given = "; it is given from its threshold, by the inputs of a row" if self.thresholds else ""
        return Table(f"Each class or label on test{given}.", tuple(columns), tuple(rows))

    def _coverage_table(self) -> Table:
        return Table.of(
            f"Share of the test rows whose conformal set holds the truth, by the inputs that they have; "
            f"{self.conformal.promised:.0%} promised. Rows with hidden inputs stand for others only if "
            "inputs are missing at random.",
            self.conformal.subsets,
            (text("inputs"), lambda subset: " + ".join(subset.inputs)),
            (number("test rows", ""), lambda subset: subset.rows),
            (number("coverage"), lambda subset: subset.coverage.value),
            (interval("interval"), lambda subset: subset.coverage),
            (number("calibration rows", ""), lambda subset: subset.calibrated),
            (
                text("calibrated on rows with"),
                lambda subset: "just these inputs" if subset.is_exact else "further inputs, hidden",
            ),
        )

    def _candidate_table(self) -> Table:
        metric, level = self.metric, f"{self.confidence:.0%}"
        delivered = f"delivered ({self.chosen})"
        return Table.of(
            f"{self.headline}. Chosen by rows that nothing had learned from; low and high: {level} bootstrap "
            f"interval over {self.rows['test']} test rows.",
            self.candidates,
            (text("model"), lambda candidate: delivered if candidate is self.delivered else candidate.name),
            (number(f"val {metric}"), lambda candidate: candidate.on_validation(metric)),
            (number(f"test {metric}"), lambda candidate: candidate.on_test(metric).value),
            (interval("interval"), lambda candidate: candidate.on_test(metric)),
            (
                number("test log loss", brief="log loss"),
                lambda candidate: candidate.on_test("log_loss").value,
            ),
            title=f"{self.rows['test']} test rows, {level} intervals",
            marked=lambda candidate: candidate is self.delivered,
        )

    def _subset_table(self) -> Table:
        worst = self.worst_subset
        return Table.of(
            f"Test {self.metric} when a row has only these inputs, and what that costs.",
            self.subsets,
            (text("inputs"), lambda subset: " + ".join(subset.inputs)),
            (text("answered by"), lambda subset: subset.candidate or self.chosen),
            (number(f"test {self.metric}"), lambda subset: subset.metric.value),
            (interval("interval"), lambda subset: subset.metric),
            (number("drop"), lambda subset: subset.drop),
            marked=lambda subset: subset is worst,
        )

    def _time_table(self) -> Table:
        return Table.of(
            f"Test {self.metric} by time of the rows, with {self.confidence:.0%} bootstrap intervals.",
            self.over_time,
            (text("from"), lambda period: period.first),
            (text("to"), lambda period: period.last),
            (number("rows", ","), lambda period: period.rows),
            (number(f"test {self.metric}"), lambda period: period.metric.value),
            (interval("interval"), lambda period: period.metric),
        )

    def _learner_table(self) -> Table:
        return Table.of(
            f"Encoders of inputs that have several: {self.metric} on rows that they have not learned from, "
            "and the share of each in their combination. Without a share it is not delivered.",
            self.learners,
            (text("input"), lambda learner: learner.input),
            (text("encoder"), lambda learner: "combined" if learner.weight is None else learner.name),
            (number(f"unseen {self.metric}"), lambda learner: learner.metric),
            (number("weight", ".2f"), lambda learner: learner.weight),
            (number("seconds", ".1f"), lambda learner: learner.seconds),
            title="Encoders tried",
            marked=lambda learner: learner.weight is None,
        )

    def with_media(self, media: dict[str, dict[str, Media]]) -> Evaluation:
        """Add media to the worst samples: sample id → input → Media."""
        samples = tuple(replace(sample, media=media.get(sample.id, {})) for sample in self.samples)
        return replace(self, samples=samples)


@dataclass(frozen=True)
class Evaluations(Stored):
    """The evaluations of all targets, the primary one first."""

    evaluations: tuple[Evaluation, ...]


@dataclass(frozen=True)
class Curve(Stored):
    """The training of one fit, a value an epoch; NaN where an epoch has none."""

    name: str
    train_loss: tuple[float, ...]
    validation: tuple[float, ...]
    best_epoch: int | None = None  # counted from 0
    metric: str | None = None  # of `validation`; None is the evaluation's metric
