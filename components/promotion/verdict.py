"""Whether a challenger becomes champion and why, as frozen dataclasses that travel as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass

from components.evaluation.intervals import Gain, Stored


@dataclass(frozen=True)
class Check(Stored):
    """One clause of the promotion rule.

    `found` is NaN where it could not be measured; such a clause stands in nobody's way. The gain has to lie
    above its bound, a loss must not exceed it. `note` says what was compared.
    """

    name: str
    found: float
    bound: float
    passed: bool
    note: str

    @property
    def measured(self) -> bool:
        """Whether there was something to compare."""
        return not math.isnan(self.found)


@dataclass(frozen=True)
class Verdict(Stored):
    """The decision.

    `champion` is the version that was compared with; None where there was none.
    """

    promote: bool
    reason: str
    gain: Gain | None = None
    checks: tuple[Check, ...] = ()
    champion: str | None = None

    def rows(self) -> list[dict[str, str]]:
        """The checks as a table for people."""
        return [
            {
                "check": check.name,
                "found": f"{check.found:+.4f}" if check.measured else "not measured",
                "bound": f"{check.bound:g}",
                "passed": "yes" if check.passed else "no",
                "compared": check.note,
            }
            for check in self.checks
        ]
