"""Results of a comparison of new rows with those of a model; JSON-serialisable."""

from dataclasses import dataclass
from typing import Literal

from components.results.table import Table, number, p_value, text
from components.storage.names import outside_name

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
"""Measure of the effect, by kind."""

_SHORT = {"MMD": "mmd", "AUC": "auc", "PSI": "psi", "rate change": "rate_change"}


@dataclass(frozen=True)
class Test:
    """One comparison of old and new rows.

    Attributes:
        kind: Kind of the comparison.
        part: Name of the input or target; ``rows`` for the quarantine.
        column: Column of the input; None for the whole input.
        effect: Size of the change, in the measure of its kind.
        floor: Smallest effect that counts.
        p: p-value of the test alone.
        adjusted: p-value adjusted by Holm for the tests of the whole report.
        drifted: True if it has moved: ``adjusted`` at most the level, ``effect`` at least the floor.
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
        words = {
            "embedding": "embeddings",
            "classifier": "domain classifier",
            "column": self.column,
            "missing": "missing",
            "quarantine": "with a fault",
            "label": "targets",
            "answer": "answers",
            "confidence": "confidence",
        }
        return f"{self.part}: {words[self.kind]}"

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
        return "_".join([*(outside_name(str(part)) for part in parts), _SHORT[MEASURES[self.kind]]])


@dataclass(frozen=True)
class Drift:
    """All comparisons of one table with a model's reference.

    Attributes:
        rows: Rows of the table.
        looked: Rows drawn from it.
        usable: Drawn rows without a fault, which are compared.
        reference: Rows that they are compared with.
        level: Chance of any false alarm.
        tests: Tests in the order of the inputs.
        notes: Comparisons that were impossible, with reasons.
        forms: Sentences on numbers and dates of other forms than training had.
    """

    rows: int
    looked: int
    usable: int
    reference: int
    level: float
    tests: tuple[Test, ...]
    notes: tuple[str, ...]
    forms: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """True where anything has moved."""
        return any(test.drifted for test in self.tests)

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts that have moved: names of inputs, ``targets``, ``answers``, ``quarantine``."""
        return tuple(dict.fromkeys(_part(test) for test in self.tests if test.drifted))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that have moved."""
        about_inputs = ("embedding", "classifier", "column", "missing")
        return tuple(
            dict.fromkeys(test.part for test in self.tests if test.drifted and test.kind in about_inputs)
        )

    @property
    def headline(self) -> str:
        """The parts that have moved and the rows that were compared, in a sentence."""
        compared = f"{self.usable} of {self.rows} rows compared with {self.reference} that the model carries"
        if not self.drifted:
            return f"No drift in {len(self.tests)} tests: {compared}"
        return f"Drift in {', '.join(self.parts)}: {compared}"

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence for each alarm and for what was not compared, and how far alarms can be believed."""
        alarms = (
            f"{test.name}: {MEASURES[test.kind]} {test.effect:.3f} (alarm from {test.floor:g}), "
            f"p {test.adjusted:.2g} for all {len(self.tests)} tests."
            for test in self.tests
            if test.drifted
        )
        level = f"Chance of any false alarm in this report: at most {self.level:.0%}."
        forms = (f"{form}." for form in self.forms)
        return (*forms, *alarms, *(f"Not compared: {note}." for note in self.notes), level)

    def metrics(self) -> dict[str, float]:
        """Effects and p-values: ``drift_voice_mmd``, ``drift_voice_mmd_p``, ..."""
        values: dict[str, float] = {
            "drift": float(self.drifted),
            "drift_tests": len(self.tests),
            "drift_alarms": sum(test.drifted for test in self.tests),
            "rows": self.rows,
            "rows_looked_at": self.looked,
            "rows_compared": self.usable,
        }
        for test in self.tests:
            values |= {
                f"drift_{test.key}": test.effect,
                f"drift_{test.key}_p": test.p,
                f"drift_{test.key}_p_adjusted": test.adjusted,
            }
        return values

    def tables(self) -> dict[str, Table]:
        """A row per test."""
        table = Table.of(
            self.headline,
            self.tests,
            (text("compared"), lambda test: test.name),
            (text("measure"), lambda test: MEASURES[test.kind]),
            (number("effect", ""), lambda test: test.effect),
            (number("floor", ""), lambda test: test.floor),
            (p_value("p"), lambda test: test.p),
            (p_value("p adjusted"), lambda test: test.adjusted),
            (text("drift"), lambda test: "yes" if test.drifted else "no"),
            title=f"false alarms in at most {self.level:.0%} of reports",
            marked=lambda test: test.drifted,
            alarm=True,
        )
        return {"drift": table} if table.rows else {}


def _part(test: Test) -> str:
    others = {"label": "targets", "answer": "answers", "confidence": "answers", "quarantine": "quarantine"}
    return others.get(test.kind, test.part)
