"""Totals of a scored table, added up from its parts."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from components.results.table import Table, number, text
from components.scoring.job import Job
from components.scoring.rows import Rows
from components.storage.names import outside_name
from components.targets import Multilabel, Regression, Targets


@dataclass(frozen=True)
class Summary:
    """Totals of a finished job; JSON-serialisable.

    Attributes:
        run: MLflow run of the job.
        rows: Rows of the table; each is either scored or not.
        scored: Rows with a prediction.
        not_scored: Rows without a usable input, which are only in quarantine.
        faulty: Rows in quarantine, scored from their other inputs or not at all.
        missing: Rows scored without an input, by input.
        absent: Columns of the model that the table lacks.
        abstained: Scored rows whose set or interval does not decide, by target.
        labels: Scored rows by label (by each label, where a row has several), by target.
        values: Mean, lowest and highest number, by target.
        forms: Sentences on numbers and dates of other forms than training had.
    """

    run: str
    rows: int
    scored: int
    not_scored: int
    faulty: int
    missing: dict[str, int]
    absent: list[str]
    abstained: dict[str, int]
    labels: dict[str, dict[str, int]]
    values: dict[str, dict[str, float]]
    forms: list[str] = field(default_factory=list)

    @property
    def headline(self) -> str:
        """Counts of the rows, in a sentence."""
        rate = sum(self.abstained.values()) / max(self.scored * len(self.abstained), 1)
        return (
            f"{self.scored} of {self.rows} rows scored, {self.faulty} with faults, of which "
            f"{self.not_scored} could not be scored; {rate:.1%} abstained"
        )

    @property
    def findings(self) -> tuple[str, ...]:
        """Sentences on inputs and columns that were missing, and on cells of other forms than in training."""
        missing = (f"Scored without {name}: {count} rows." for name, count in self.missing.items() if count)
        absent = (f"The table lacks {', '.join(self.absent)}.",) if self.absent else ()
        return (*missing, *absent, *(f"{form}." for form in self.forms))

    def metrics(self) -> dict[str, float]:
        """Counts and rates: ``rows_scored``, ``quarantine_rate``, ``image_missing_rate``, ..."""
        scored = max(self.scored, 1)
        several = len(self.abstained) > 1  # as names then begin with the target
        prefixes = {name: f"{outside_name(name)}_" if several else "" for name in self.abstained}
        return {
            "rows": self.rows,
            "rows_scored": self.scored,
            "rows_not_scored": self.not_scored,
            "rows_with_faults": self.faulty,
            "quarantine_rate": self.faulty / self.rows,
            **{f"{name}_missing_rate": count / scored for name, count in self.missing.items()},
            **{f"{prefix}abstain_rate": self.abstained[name] / scored for name, prefix in prefixes.items()},
            **{
                f"{prefixes[name]}value_{statistic}": value
                for name, values in self.values.items()
                for statistic, value in values.items()
            },
        }

    def tables(self) -> dict[str, Table]:
        """The count of each predicted label, and the range of predicted numbers."""
        labels = [
            (target, label, count, count / max(self.scored, 1))
            for target, counts in self.labels.items()
            for label, count in counts.items()
        ]
        numbers = [
            (target, f"{statistic} {value:.6g}", self.scored, 1.0)
            for target, values in self.values.items()
            for statistic, value in values.items()
        ]
        columns = (text("target"), text("prediction"), number("rows", ""), number("share", ".1%"))
        rows = (*labels, *numbers)
        return {"scored": Table(self.headline, columns, rows)} if rows else {}


def finished(job: Job) -> Summary | None:
    """Read the totals, if the job is done."""
    done = Path(job.folder) / "done.json"
    return Summary(**json.loads(done.read_text("utf-8"))) if done.exists() else None


def sum_up(job: Job, rows: Rows, targets: Targets, run: str, faulty: int) -> Summary:
    """Add up the totals, one part at a time."""
    scored = 0
    missing: Counter[str] = Counter()
    abstained: Counter[str] = Counter()
    labels: dict[str, Counter[str]] = {}
    sums: dict[str, tuple[float, float, float]] = {}  # total, lowest, highest
    for path in job.parts:
        table = pq.read_table(path).to_pandas()
        scored += len(table)
        used = [set(inputs.split("+")) for inputs in table["inputs"]]
        missing.update({name: sum(name not in each for each in used) for name in rows.inputs})
        for target in targets:
            prefix = f"{target.name}_" if len(targets) > 1 else ""
            abstained[target.name] += int(table[f"{prefix}abstain"].sum())
            if isinstance(target, Regression):
                values = table[f"{prefix}value"].to_numpy(np.float64)
                if len(values):
                    total, lowest, highest = sums.get(target.name, (0.0, np.inf, -np.inf))
                    sums[target.name] = (
                        total + float(values.sum()),
                        min(lowest, float(values.min())),
                        max(highest, float(values.max())),
                    )
                continue
            counts = labels.setdefault(target.name, Counter())
            if isinstance(target, Multilabel):
                for cell in table[f"{prefix}labels"]:
                    counts.update(cell.split(target.separator) if cell != target.none else [target.none])
            else:
                counts.update(table[f"{prefix}label"])
    return Summary(
        run=run,
        rows=rows.total,
        scored=scored,
        not_scored=rows.total - scored,
        faulty=faulty,
        missing={name: missing[name] for name in rows.inputs},
        absent=list(rows.absent),
        forms=list(rows.forms),
        abstained={target.name: abstained[target.name] for target in targets},
        labels={name: dict(sorted(counts.items())) for name, counts in labels.items()},
        values={
            name: {"mean": total / scored, "lowest": lowest, "highest": highest}
            for name, (total, lowest, highest) in sums.items()
            if scored
        },
    )
