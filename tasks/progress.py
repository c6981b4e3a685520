"""Tells how far a step is: a file for the command line, an artifact for the dashboard."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from components.storage.atomic import write_json

_EVERY = 2.0  # seconds between two updates of an artifact
_FILE_EVERY = 0.2


class Placed(Protocol):
    """A run: it has a folder of its own."""

    @property
    def folder(self) -> Path: ...


@dataclass(frozen=True)
class Standing:
    """The progress of a step.

    Attributes:
        step: Its name.
        done, total: In rows or epochs.
        note: What the newest of them showed.
        finished: Whether the step has ended.
    """

    step: str
    done: int
    total: int
    note: str = ""
    finished: bool = False


class Progress:
    """Reports one step of a run."""

    def __init__(self, context: Placed, step: str) -> None:
        self._file = folder(context.folder) / f"{step.replace(' ', '-')}.json"
        self._step = step
        self._artifact: UUID = create_progress_artifact(0.0, description=step)  # type: ignore[assignment]  # typed as if it may be a coroutine
        self._told = self._written = 0.0
        self._heard = True

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report ``done`` of ``total``; what comes too soon after the last report is left out."""
        now = time.monotonic()
        last = done >= total
        if last or now - self._written >= _FILE_EVERY:
            write_json(self._file, asdict(Standing(self._step, done, total, note)))
            self._written = now
        if last or now - self._told >= _EVERY:
            percent = 100.0 * done / total if total else 100.0
            self._tell(percent, f"{self._step} {note}".strip())
            self._told = now

    def finish(self, note: str) -> None:
        """Report the end of the step and what it came to."""
        write_json(self._file, asdict(Standing(self._step, 1, 1, note, finished=True)))
        self._tell(100.0, f"{self._step}: {note}")

    def _tell(self, percent: float, description: str) -> None:
        """Tell the dashboard; where it cannot be told it is left at that: who only looks on stops nothing."""
        if not self._heard:
            return
        try:
            update_progress_artifact(self._artifact, percent, description=description)
        except httpx.HTTPError:  # Prefect's client has tried for a minute
            self._heard = False


def folder(run: Path) -> Path:
    """Return the folder in which the steps of a run report."""
    return run / "progress"


def standings(run: Path) -> list[Standing]:
    """Read the progress of the steps of a run, in the order in which they began."""
    files = sorted(folder(run).glob("[!.]*.json"), key=lambda file: file.stat().st_mtime)
    return [Standing(**json.loads(file.read_text("utf-8"))) for file in files]
