"""What a comparison found; JSON-serialisable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["embedding", "classifier", "column", "missing", "quarantine", "label", "answer", "confidence"]
MEASURES: dict[Kind, str] = {
    "embedding": "MMD",
    "classifier": "AUC",
    "column": "PSI",
    "missing": "rate change",
    "quarantine": "rate change",
    "label": "PSI",
    "answer": "PSI",
    "confidence": "PSI",
}
"""What the effect is measured in."""

_SHORT = {"MMD": "mmd", "AUC": "auc", "PSI": "psi", "rate change": "rate_change"}


@dataclass(frozen=True)
class Test:
    """One comparison of old and new rows.

    Attributes:
        kind: What was compared.
        part: Name of the input or target; ``rows`` for the quarantine.
        column: Of the input; None where it is the whole input that was compared.
        effect: How far it has moved, in the measure of its kind.
        floor: Effect from which it counts.
        p: That chance alone moves it so far.
        adjusted: The same, by Holm, for the tests of the whole report.
        drifted: Whether it has moved: ``adjusted`` at most the level, ``effect`` at least the floor.
    """

    __test__ = False  # not one of pytest's

    kind: Kind
    part: str
    column: str | None
    effect: float
    floor: float
    p: float
    adjusted: float
    drifted: bool

    @property
    def name(self) -> str:
        """For people: ``voice``, ``voice: seconds``, ``label (targets)``."""
        said = {
            "embedding": "embeddings",
            "classifier": "domain classifier",
            "column": self.column,
            "missing": "missing",
            "quarantine": "with a fault",
            "label": "targets",
            "answer": "answers",
            "confidence": "confidence",
        }
        return f"{self.part}: {said[self.kind]}"

    @property
    def key(self) -> str:
        """For MLflow: ``voice_mmd``, ``voice_seconds_psi``, ``answer_label_psi``, ``quarantine_...``."""
        words: dict[Kind, list[str | None]] = {
            "embedding": [self.part],
            "classifier": [self.part],
            "column": [self.part, self.column],
            "missing": [self.part, "missing"],
            "quarantine": ["quarantine"],
        }
        parts = words.get(self.kind, [self.kind, self.part])
        return "_".join([*map(str, parts), _SHORT[MEASURES[self.kind]]])


@dataclass(frozen=True)
class Drift:
    """All comparisons of one table with a model's reference.

    Attributes:
        rows: Of the table.
        looked: Rows that were drawn of it.
        usable: Those of them without a fault; they are what is compared.
        reference: Rows that they are compared with.
        level: Chance of any false alarm.
        tests: In the order of the inputs.
        notes: What was not compared, and why.
    """

    rows: int
    looked: int
    usable: int
    reference: int
    level: float
    tests: tuple[Test, ...]
    notes: tuple[str, ...]

    @property
    def drifted(self) -> bool:
        """Whether anything has moved."""
        return any(test.drifted for test in self.tests)

    @property
    def parts(self) -> tuple[str, ...]:
        """What has moved: names of inputs, ``targets``, ``answers``, ``quarantine``."""
        return tuple(dict.fromkeys(_part(test) for test in self.tests if test.drifted))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that have moved."""
        about_inputs = ("embedding", "classifier", "column", "missing")
        return tuple(
            dict.fromkeys(test.part for test in self.tests if test.drifted and test.kind in about_inputs)
        )


def _part(test: Test) -> str:
    others = {"label": "targets", "answer": "answers", "confidence": "answers", "quarantine": "quarantine"}
    return others.get(test.kind, test.part)
