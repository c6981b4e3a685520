"""What came of a scored table, added up from its parts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from components.scoring.job import Job
from components.scoring.rows import Rows
from components.targets import Multilabel, Regression, Targets


@dataclass(frozen=True)
class Summary:
    """Totals of a finished job; JSON-serialisable.

    Attributes:
        run: MLflow run of the job.
        rows: Of the table; each is either scored or not.
        scored: Rows with a prediction.
        not_scored: Rows of which no input could be used; in quarantine alone.
        faulty: Rows in quarantine, scored from their other inputs or not at all.
        missing: Rows scored without an input, by input.
        absent: Columns of the model that the table lacks.
        abstained: Scored rows whose set or interval does not decide, by target.
        labels: Scored rows by label (by each label, where a row has several), by target.
        values: Of a number: mean, lowest and highest, by target.
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


def finished(job: Job) -> Summary | None:
    """The totals, if the job is done."""
    done = Path(job.folder) / "done.json"
    return Summary(**json.loads(done.read_text("utf-8"))) if done.exists() else None


def sum_up(job: Job, rows: Rows, targets: Targets, run: str, faulty: int) -> Summary:
    """Totals from the parts, one at a time."""
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
        abstained={target.name: abstained[target.name] for target in targets},
        labels={name: dict(sorted(counts.items())) for name, counts in labels.items()},
        values={
            name: {"mean": total / scored, "lowest": lowest, "highest": highest}
            for name, (total, lowest, highest) in sums.items()
            if scored
        },
    )
