"""Costs of damage and missing inputs for the delivered model, as frozen dataclasses that travel as JSON.

Relative and effective robustness are those of MultiBench (Liang et al. 2021, arXiv:2107.07502, as its
eval_scripts/robustness.py computes them). Relative is the area under the curve of the metric over the
imperfection. Effective is the height of that curve above the curve of late fusion, once both begin at the
same value. MultiBench then scales either to 0..1 over the methods that it compares, and sums the latter over
the steps. With one method and steps of unequal width, both are means over the width here, in units of the
metric.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.evaluation.intervals import Gain, Interval, Stored
from components.results.table import Table, estimate, number, text
from components.targets import higher_is_better


@dataclass(frozen=True)
class Level(Stored):
    """One severity of one corruption of one input.

    `delivered` is the delivered model with all inputs of a row. `alone` is the damaged input by itself.
    `late` is the average of the single inputs' predictions, NaN with one input.
    """

    severity: int
    delivered: Interval
    alone: Interval
    late: float


@dataclass(frozen=True)
class CorruptionCurve(Stored):
    """One input damaged in one way; the others stay. Severity 0, undamaged, comes first.

    The `rows` sampled test rows that have the input are measured. `other` is the best other input by itself
    (chosen on validation), which the damage does not touch. `relative`, `relative_alone`: see
    relative_robustness. `effective`: see effective_robustness; NaN with one input. `loss` is what the highest
    severity costs the delivered model: positive when it is worse, for every metric.
    """

    input: str
    corruption: str
    rows: int
    levels: tuple[Level, ...]
    relative: float
    relative_alone: float
    effective: float
    loss: float
    other: str | None = None
    other_metric: Interval | None = None


@dataclass(frozen=True)
class MissingLevel(Stored):
    """Inputs hidden with a chance of `rate`.

    `masked` is the delivered model with the mask of absent inputs. `zero_imputed` is the same model with
    every input present: a black image, silence, an empty text or cells of 0 replace those that are hidden
    here or absent from the start. AutoGluon-Multimodal treats a missing image so, but it also trains in that
    way; this model has never seen zeros. `gain` is masked over zero_imputed on the same rows. `hidden` counts
    the inputs taken away. `empty` counts rows with none left, whose prediction is the class frequencies in
    training.
    """

    rate: float
    masked: Interval
    zero_imputed: Interval
    gain: Gain
    hidden: int
    empty: int


@dataclass(frozen=True)
class MissingCurve(Stored):
    """Some inputs hidden at random and independently; the others stay. Rate 0 comes first."""

    inputs: tuple[str, ...]
    levels: tuple[MissingLevel, ...]


@dataclass(frozen=True)
class Robustness(Stored):
    """Curves of the delivered model on a sample of the test rows."""

    metric: str
    confidence: float
    resamples: int
    seed: int
    rows: int  # sampled
    test_rows: int
    inputs: tuple[str, ...]
    corruptions: tuple[CorruptionCurve, ...]
    missing: tuple[MissingCurve, ...]  # all inputs first, then each
    version: int = 1

    @property
    def everything(self) -> MissingCurve | None:
        """The curve in which any input may be hidden; None without rates."""
        return self.missing[0] if self.missing else None

    @property
    def half(self) -> MissingLevel | None:
        """About half of all inputs gone: the rate nearest to .5; None without rates."""
        levels = self.everything.levels[1:] if self.everything else ()
        return min(levels, key=lambda level: abs(level.rate - 0.5), default=None)

    @property
    def worst(self) -> CorruptionCurve | None:
        """The corruption that costs most at its highest severity."""
        return max(self.corruptions, key=lambda curve: curve.loss, default=None)

    @property
    def harmful(self) -> tuple[CorruptionCurve, ...]:
        """Corruptions whose highest severity makes the model worse than the best other input by itself.

        Clearly worse: the whole interval of the model lies on the wrong side of that input's value.
        """
        rising = higher_is_better(self.metric)
        return tuple(
            curve
            for curve in self.corruptions
            if curve.other_metric is not None
            and (
                curve.levels[-1].delivered.high < curve.other_metric.value
                if rising
                else curve.levels[-1].delivered.low > curve.other_metric.value
            )
        )

    @property
    def headline(self) -> str:
        """The result in one line."""
        level, worst = self.half, self.worst
        if level is not None:
            return (
                f"{self.metric} {level.masked.value:.3f} with {level.rate:.0%} of all inputs hidden, "
                f"{level.zero_imputed.value:.3f} with zeros in their place"
            )
        if worst is None:
            return "nothing was asked for"
        return f"{worst.corruption} on {worst.input} costs most: {self.metric} {-worst.loss:+.3f}"

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence for each corruption that makes the model worse than the best other input by itself."""
        return tuple(
            f"Heavy {curve.corruption} on {curve.input} makes the model worse than {curve.other} by itself."
            for curve in self.harmful
        )

    def metrics(self) -> dict[str, float]:
        """Flat metrics: ``robustness_image_jpeg_relative``, ``missing_50_zero_imputed_accuracy``, ..."""
        values: dict[str, float] = {}
        for curve in self.corruptions:
            name = f"robustness_{curve.input}_{curve.corruption}"
            values |= {f"{name}_relative": curve.relative, f"{name}_effective": curve.effective}
            for level in curve.levels[1:]:
                values[f"{name}_{level.severity}_{self.metric}"] = level.delivered.value
        for missing in self.missing:
            whose = "" if missing is self.everything else f"_{'_and_'.join(missing.inputs)}"
            for gap in missing.levels:
                name = f"missing{whose}_{100 * gap.rate:g}"
                values[f"{name}_{self.metric}"] = gap.masked.value
                values[f"{name}_zero_imputed_{self.metric}"] = gap.zero_imputed.value
                values[f"{name}_gain_over_zeros"] = gap.gain.value
        return values

    def tables(self) -> dict[str, Table]:
        """Ends of the curves: a row per corruption, a row per rate."""
        tables = {"robustness": self._corruption_table(), "missing_rates": self._missing_table()}
        return {name: table for name, table in tables.items() if table.rows}

    def _corruption_table(self) -> Table:
        severity = max((curve.levels[-1].severity for curve in self.corruptions), default=0)
        return Table.of(
            "Test rows with one input damaged. Relative: share of the undamaged result that is left; "
            "effective: what is left beyond what that input's own model has left.",
            self.corruptions,
            (text("input"), lambda curve: curve.input),
            (text("corruption"), lambda curve: curve.corruption),
            (number("rows", ""), lambda curve: curve.rows),
            (number(f"{self.metric} undamaged"), lambda curve: curve.levels[0].delivered.value),
            (
                number(f"{self.metric} at severity {severity}"),
                lambda curve: curve.levels[-1].delivered.value,
            ),
            (number("that input alone"), lambda curve: curve.levels[-1].alone.value),
            (number("relative robustness"), lambda curve: curve.relative),
            (number("effective robustness", "+.3f"), lambda curve: curve.effective),
            marked=lambda curve: curve is self.worst,
        )

    def _missing_table(self) -> Table:
        return Table.of(
            "Test rows with inputs hidden at random: the model is given the mask of what is absent, and the "
            "same model is given zeros instead.",
            ((" + ".join(curve.inputs), level) for curve in self.missing for level in curve.levels),
            (text("hidden"), lambda row: row[0]),
            (number("rate", ".0%"), lambda row: row[1].rate),
            (number(f"{self.metric} with mask"), lambda row: row[1].masked.value),
            (number(f"{self.metric} with zeros"), lambda row: row[1].zero_imputed.value),
            (estimate("gain", "+.3f"), lambda row: row[1].gain),
            (number("rows without any input", ""), lambda row: row[1].empty),
            marked=lambda row: row[1] is self.half,
        )


def relative_robustness(severities: Sequence[float], values: Sequence[float]) -> float:
    """Compute the mean height of the curve (trapezoidal rule), in units of the metric.

    Args:
        severities: Rising, at least two, 0 first.
        values: The metric at each severity.
    """
    x = np.asarray(severities, dtype=np.float64)
    return float(np.trapezoid(values, x) / (x[-1] - x[0]))


def effective_robustness(
    severities: Sequence[float], values: Sequence[float], late: Sequence[float], higher_is_better: bool
) -> float:
    """Compute the mean distance of the curve above that of late fusion, shifted to begin at the same value.

    With f the curve, l that of late fusion: the relative robustness of f − (l + f(0) − l(0)). Above 0, the
    model loses less to the damage than late fusion does, whichever of the two is better on undamaged rows.

    Args:
        severities, values: As in relative_robustness.
        late: The metric of late fusion at each severity.
        higher_is_better: False turns the sign.
    """
    f, baseline = np.asarray(values, dtype=np.float64), np.asarray(late, dtype=np.float64)
    distance = relative_robustness(severities, ((f - f[0]) - (baseline - baseline[0])).tolist())
    return distance if higher_is_better else -distance
