"""What could not be used, in the dashboard."""

from __future__ import annotations

from typing import Any

import pandas as pd
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from components.secrets import redacted

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
