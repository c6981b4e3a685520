"""Content of the HTML report."""

from dataclasses import dataclass, field

from components.audit.results import Audit
from components.evaluation.results import Curve, Evaluation
from components.explanations.results import Explanations
from components.references import Missing
from components.results.table import Table
from components.retrieval.results import Retrievals
from components.robustness.results import Robustness


@dataclass(frozen=True)
class QuarantineRow:
    """A row, or one input of it, that could not be used."""

    id: str
    input: str
    path: str
    reason: str


@dataclass(frozen=True)
class DataSummary:
    """Data that the model was trained and evaluated on."""

    source: str
    digest: str
    splits: dict[str, int]
    missing: dict[str, int] = field(default_factory=dict)  # rows without the input
    class_rows: dict[str, dict[str, int]] = field(default_factory=dict)  # class or label → split → rows
    quarantined: int = 0
    quarantine: tuple[QuarantineRow, ...] = ()
    readings: dict[str, str] = field(default_factory=dict)  # column → how its cells were read
    findings: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)  # reason → rows in no split
    periods: dict[str, tuple[str, str]] = field(default_factory=dict)  # split → first and last time


@dataclass(frozen=True)
class Report:
    """All that the HTML report shows."""

    title: str
    created: str  # for people: "2026-11-23 22:30 UTC"
    evaluation: Evaluation
    data: DataSummary
    further: tuple[Evaluation, ...] = ()  # of the targets besides the primary one
    curves: tuple[Curve, ...] = ()
    fusion: str = ""  # its kind, such as gated; empty: the name of its candidate
    config: str = ""  # YAML
    reproduce: dict[str, str] = field(default_factory=dict)  # run ids, versions, command
    promotion: str | None = None  # one line: what became of the champion, and why
    checks: Table | None = None  # of the rule of promotion
    robustness: Robustness | None = None
    explanations: Explanations | None = None
    retrieval: Retrievals | None = None
    audit: Audit | None = None
    missing: tuple[Missing, ...] = ()  # optional steps that failed
