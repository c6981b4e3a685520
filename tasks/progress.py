"""Progress of a step: a file for the command line, an artifact for the dashboard."""

import glob
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from components.results import markdown
from components.storage.atomic import write_json

_EVERY = 2.0  # seconds between two updates of an artifact
_FILE_EVERY = 0.2
_LAST = 5  # runs


class Placed(Protocol):
    """A run: it has a folder of its own."""

    @property
    def folder(self) -> Path: ...


@dataclass(frozen=True)
class Standing:
    """The progress of a step.

    Attributes:
        step: Name of the step.
        done, total: Rows or epochs.
        note: Result of the newest of them.
        finished: True once the step has ended.
        seconds: Duration of a step that has ended.
    """

    step: str
    done: int
    total: int
    note: str = ""
    finished: bool = False
    seconds: float = 0.0


class Progress:
    """Reporter of one step of a run."""

    def __init__(self, context: Placed, step: str) -> None:
        self._file = folder(context.folder) / f"{step.replace(' ', '-')}.json"
        self._step = step
        self._artifact: UUID = create_progress_artifact(0.0, description=step)  # type: ignore[assignment]  # typed as if it may be a coroutine
        self._began = time.monotonic()
        self._updated = self._written = 0.0
        self._reachable = True

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report ``done`` of ``total``; a report too soon after the last is dropped."""
        now = time.monotonic()
        last = done >= total
        if last or now - self._written >= _FILE_EVERY:
            write_json(self._file, asdict(Standing(self._step, done, total, note)))
            self._written = now
        if last or now - self._updated >= _EVERY:
            percent = 100.0 * done / total if total else 100.0
            self._update(percent, f"{self._step} {note}".strip())
            self._updated = now

    def finish(self, note: str) -> None:
        """Report the end of the step and its result."""
        seconds = time.monotonic() - self._began
        write_json(self._file, asdict(Standing(self._step, 1, 1, note, finished=True, seconds=seconds)))
        self._update(100.0, f"{self._step}: {note}")

    def _update(self, percent: float, description: str) -> None:
        """Update the dashboard; give up if it cannot be reached, as a mere display must not stop a step.

        The description is Markdown to the dashboard.
        """
        if not self._reachable:
            return
        try:
            update_progress_artifact(self._artifact, percent, description=markdown.plain(description))
        except httpx.HTTPError:  # after Prefect's client has tried for a minute
            self._reachable = False


def folder(run: Path) -> Path:
    """Return the folder in which the steps of a run report."""
    return run / "progress"


def standings(run: Path) -> list[Standing]:
    """Read the progress of the steps of a run, in the order in which they began."""
    files = sorted(folder(run).glob("[!.]*.json"), key=lambda file: file.stat().st_mtime)
    return [Standing(**json.loads(file.read_text("utf-8"))) for file in files]


def seconds_by_input(runs: Path, name: str) -> dict[str, float]:
    """Sum up the durations of the steps of each input, each in that of the last runs where it took longest.

    Steps found in a cache take no time and say nothing.

    Args:
        runs: Folder of all runs.
        name: Name of the pipeline.
    """
    longest: dict[str, float] = {}
    for run in sorted(runs.glob(f"{glob.escape(name)}-[0-9]*"), reverse=True)[:_LAST]:
        for standing in standings(run):
            longest[standing.step] = max(standing.seconds, longest.get(standing.step, 0.0))
    seconds: dict[str, float] = {}
    for step, duration in longest.items():
        _, _, input = step.partition(" ")
        seconds[input] = seconds.get(input, 0.0) + duration
    return seconds
