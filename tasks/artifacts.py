"""Ways from the dashboard to MLflow and to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from components.config import TrackingConfig
from components.redaction import redacted
from tasks.tracking import runs


def show_run(at: TrackingConfig, run: str) -> None:
    """A link to the MLflow run; where no server shows it, its id and how to see it."""
    url = runs.run_url(at, run)
    if url is not None:
        what = f"[Metrics, figures and tables]({url})"
        create_link_artifact(url, link_text="MLflow run", key="mlflow-run", description=what)
        return
    text = f"MLflow run `{run}` in `{at.tracking_uri}`. `braid ui` shows it."
    create_markdown_artifact(text, key="mlflow-run")


def show_report(at: TrackingConfig, run: str, file: Path) -> None:
    """A link to the HTML page: in MLflow where a server shows it, else to the file."""
    url = runs.run_url(at, run, file.name)
    where = f"One page with everything, on the machine of the run: {file}"
    create_link_artifact(url or file.as_uri(), link_text="Report", key="report", description=where)


SHOWN = 50


def show_quarantine(entries: pd.DataFrame, description: str) -> None:
    """A table artifact with the first entries, or a sentence where there are none.

    Args:
        entries: Of the quarantine, at least the first ``SHOWN`` of them.
        description: Above the table.
    """
    if len(entries):
        shown = entries.head(SHOWN).fillna("").astype(str).map(redacted)
        rows: list[dict[str, Any]] = shown.to_dict("records")  # type: ignore[assignment]
        create_table_artifact(rows, key="quarantine", description=description)
    else:
        create_markdown_artifact("Every row could be used.", key="quarantine")
