"""Task: whether the data deserves that its numbers are believed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact

from components.audit.results import Audit
from components.audit.run import audit
from components.references import Dataset, Features, Prepared
from components.storage.atomic import write_bytes
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.step import step
from tasks.tracking import runs


@dataclass(frozen=True)
class Audited:
    """Where the audit is.

    Attributes:
        result: JSON of :class:`components.audit.results.Audit`.
    """

    result: str

    def read(self) -> Audit:
        """The audit."""
        return Audit.from_json(Path(self.result).read_text("utf-8"))


@step(name="audit", task_run_name="audit", tags=["data"])
def audit_task(
    context: Context,
    dataset: Dataset,
    prepared: dict[str, Prepared],
    features: dict[str, Features],
    evaluated: Evaluated,
) -> Audited:
    """Votes on labels, duplicates across splits, leaks; warnings to MLflow, the log and the dashboard."""
    at, run = context.tracking, context.mlflow_run
    progress = Progress(context, "audit")
    found = audit(dataset, prepared, features, evaluated.read(), context.config)
    result = context.folder / "audit.json"
    write_bytes(result, found.to_json().encode("utf-8"))
    runs.log_metrics(at, run, metrics_of(found))
    runs.set_tags(at, run, {"audit": "+".join(found.kinds) or "good"})
    for name, table in tables(found).items():
        runs.log_table(at, run, table, name)
    runs.log_file(at, run, result)
    for warning in found.warnings:
        get_run_logger().warning("%s", warning)
    lines = [f"- {warning}" for warning in found.warnings] or ["Nothing to object to."]
    create_markdown_artifact("\n".join(["# Audit of the data", "", *lines]), key="audit")
    progress.finish(", ".join(found.kinds) or "nothing to object to")
    return Audited(str(result))


def metrics_of(found: Audit) -> dict[str, float]:
    """Flat metrics: ``audit_warnings``, ``audit_image_skill``, ``audit_image_test_in_train``, ..."""
    values: dict[str, float] = {"audit_warnings": len(found.warnings), "audit_seconds": found.seconds}
    for each in found.agreements:
        values[f"audit_{each.input}_skill"] = each.skill
        values[f"audit_{each.input}_shuffled_rows"] = sum(block.rows for block in each.shuffled)
    for twin in found.duplicates:
        values[f"audit_{twin.input}_{twin.split}_in_train"] = twin.exact
        values[f"audit_{twin.input}_{twin.split}_near_train"] = twin.near
    return {name: value for name, value in values.items() if math.isfinite(value)}


def tables(found: Audit) -> dict[str, pd.DataFrame]:
    """What was looked at, as tables; those that have rows."""
    agreements = [
        {
            **{key: value for key, value in asdict(each).items() if key != "shuffled"},
            "shuffled": ", ".join(f"{block.first} to {block.last}" for block in each.shuffled),
        }
        for each in found.agreements
    ]
    named = {
        "audit_votes": agreements,
        "audit_duplicates": [asdict(each) for each in found.duplicates],
        "audit_leaks": [asdict(each) for each in found.leaks],
        "audit_groups": [asdict(each) for each in found.groups],
    }
    return {name: pd.DataFrame(rows).round(4) for name, rows in named.items() if rows}
