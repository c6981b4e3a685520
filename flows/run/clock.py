"""Time that a run has taken, over all processes that have worked on it."""

import json
import time
from pathlib import Path

from components.storage.atomic import write_json

_CLOCK = "clock.json"


def began(folder: Path) -> float:
    """Return the Unix time at which a run began, moved by the time in which nobody worked on it.

    A process that was killed worked until it last reported progress.

    Args:
        folder: Folder of the run; notes that this process begins.
    """
    now, file = time.time(), folder / _CLOCK
    spent = 0.0
    if file.exists():
        record = json.loads(file.read_text("utf-8"))
        reports = [*folder.glob("progress/*.json"), *folder.glob("*/progress/*.json"), file]
        last = max(report.stat().st_mtime for report in reports)
        spent = record["spent"] + min(max(0.0, last - record["began"]), max(0.0, now - record["began"]))
    write_json(file, {"spent": spent, "began": now})
    return now - spent
