"""Decision on a challenger and its reasons, as frozen dataclasses that travel as JSON."""

import math
from dataclasses import dataclass

from components.evaluation.intervals import Gain, Stored, bounds
from components.promotion.budget import Budget
from components.results.table import Table, number, text


@dataclass(frozen=True)
class Check(Stored):
    """One clause of the promotion rule.

    `found` is NaN where there was nothing to measure, and the clause is passed, or where measuring failed,
    and it is not. The gain has to lie above its bound, a loss must not exceed it. `note` says what was
    compared. `undecided` says that there are too few rows to decide, and the clause is passed.
    """

    name: str
    found: float
    bound: float
    passed: bool
    note: str
    undecided: bool = False

    @property
    def answer(self) -> str:
        """For people: yes, no or undecided."""
        return "undecided" if self.undecided else "yes" if self.passed else "no"

    @property
    def measured(self) -> bool:
        """True where something could be compared."""
        return not math.isnan(self.found)


@dataclass(frozen=True)
class Verdict(Stored):
    """The decision.

    `champion` is the version that was compared with; None where there was none. `undecided` says that the
    two could not be compared, so the champion stays without having won. `budget` is what is left after a
    comparison that spent some of it.
    """

    promote: bool
    reason: str
    gain: Gain | None = None
    checks: tuple[Check, ...] = ()
    champion: str | None = None
    undecided: bool = False
    budget: Budget | None = None

    @property
    def headline(self) -> str:
        """The reason."""
        return self.reason

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence for each check that stands in the way."""
        return tuple(
            f"{check.name}: {check.found:+.4f} with a bound of {check.bound:g} ({check.note})."
            if check.measured
            else f"{check.name}: could not be measured ({check.note})."
            for check in self.checks
            if not check.passed
        )

    def metrics(self) -> dict[str, float]:
        """The gain over the champion with its interval, and what comparisons have spent."""
        gain = {} if self.gain is None else bounds("champion_gain", self.gain)
        if self.budget is None:
            return gain
        return gain | {
            "promotion_comparisons": self.budget.comparisons,
            "promotion_budget_left": self.budget.left,
        }

    def tables(self) -> dict[str, Table]:
        """The checks."""
        rows = tuple(
            (check.name, check.found, check.bound, check.answer, check.note) for check in self.checks
        )
        columns = (
            text("check"),
            number("found", "+.4f", undefined="not measured"),
            number("bound", "g"),
            text("passed"),
            text("compared"),
        )
        return {"promotion": Table(self.reason, columns, rows)} if rows else {}
