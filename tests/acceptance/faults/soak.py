"""`make soak`: kill -9 at the end of every stage and at random moments inside each, again and again.

A repetition is one retraining and one scoring job, killed at every point in turn and each time started
again by the same command. Both are then left to finish and compared with undisturbed ones. After
each kill everything that can be lost or doubled is counted. The table goes into docs/operate/reliability.md.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks.machine import machine
from flows.servers.local import prefect_api
from tests.acceptance.e2e.project import Project, make_project
from tests.acceptance.faults.kills import Items, compared, doubled, is_finished, is_there, items, lost, strike

PAGE = Path(__file__).parents[3] / "docs" / "operate" / "reliability.md"
BEGIN, END = "<!-- written by make soak -->", "<!-- until here -->"
STAGES = (
    "ingest", "preprocess-sound", "fit-sound", "extract-picture", "fit-fusion", "evaluate", "robustness",
    "explain", "audit", "promote", "report",
)  # fmt: skip
SETTINGS: dict[str, Any] = {
    "audit": {},
    "evaluation": {
        "bootstrap": 100,
        "robustness": {"rows": 12, "severities": [5], "missing_rates": [0.5]},
        "explanations": {"samples": 2},
    },
}
SCORE_ROWS, CHUNK = 1024, 128
SCORE = "a chunk of scoring"
_LONGEST = 2.0  # seconds from the first sign of a stage to the kill inside it


@dataclass(frozen=True)
class Point:
    """A moment to be killed at.

    Attributes:
        stage: Name of the step, as its progress file has it.
        where: ``inside``, at a random moment; or at its ``end``.
    """

    stage: str
    where: str


@dataclass
class Tally:
    """Outcome of the kills at one point.

    Attributes:
        kills: How many hit their moment.
        lost: Runs, metric values, model versions and rows that had been there and were not any more.
        doubled: Those that were there twice.
    """

    kills: int = 0
    lost: list[tuple[str, ...]] = field(default_factory=list)
    doubled: list[tuple[str, ...]] = field(default_factory=list)


POINTS = [Point(stage, where) for stage in STAGES for where in ("inside", "end")][:-1]
SCORE_POINTS = [Point(SCORE, "inside"), Point(SCORE, "end")]


class Soak:
    """The undisturbed runs, and repetitions that are compared with them."""

    def __init__(self, folder: Path, api: str, seed: int) -> None:
        self.folder, self.api, self.random = folder, api, random.Random(seed)
        self.tallies = {point: Tally() for point in [*POINTS, *SCORE_POINTS]}
        self.repetitions, self.wrong = 0, list[str]()
        self.undisturbed = make_project(folder / "undisturbed", api=api, **SETTINGS)
        began = time.time()
        self.undisturbed.run()
        self.durations = self._durations(began)
        self.items = items(self.undisturbed)
        self.predictions = self._scored(self.undisturbed)

    def repeat(self) -> None:
        """One repetition."""
        project = make_project(self.folder / f"repetition-{self.repetitions}", api=self.api, **SETTINGS)
        before: Items = Items()
        for point in POINTS:
            began = time.time()
            delay = 0.0
            if point.where == "inside":
                delay = self.random.uniform(0, self.durations.get(point.stage, 0.5))
            at_its_end = point.where == "end"
            is_due: Callable[[], bool] = lambda p=point, b=began, e=at_its_end: is_there(  # type: ignore[misc]  # noqa: E731
                project, p.stage, b, e
            )
            code = strike(project, is_due, delay=delay)
            before = self._count(point, code, before, items(project))
            if is_finished(project):  # killed behind its end: the same command would be another run
                break
        if not is_finished(project):
            project.run()
        self._count(POINTS[-1], None, before, items(project))
        self.wrong += [
            f"repetition {self.repetitions}: {each}" for each in compared(self.undisturbed, project)
        ]
        self.wrong += [f"not there at the end: {item}" for item in lost(self.items, items(project))]
        self._score(project)
        self.repetitions += 1

    def _count(self, point: Point, code: int | None, before: Items, after: Items) -> Items:
        tally = self.tallies[point]
        tally.kills += code == -signal.SIGKILL
        tally.lost += lost(before, after)
        tally.doubled += doubled(after)
        what = "killed" if code == -signal.SIGKILL else "ended by itself"
        gone = f"{len(lost(before, after))} lost, {len(doubled(after))} doubled, {len(after)} there"
        print(f"{self.repetitions + 1}: {point.stage}, {point.where}: {what}; {gone}", flush=True)
        return after

    def _score(self, project: Project) -> None:
        """Kill a scoring job between two chunks and at a random moment, and compare what it ends with."""
        parts = lambda: len(list((project.folder / "scores").glob("*/predictions/part-*.parquet")))  # noqa: E731
        for point in SCORE_POINTS:
            before = parts()
            delay = self.random.uniform(0, 0.5) if point.where == "inside" else 0.0
            code = strike(project, lambda t=before: parts() > t, command=self._command(project), delay=delay)  # type: ignore[misc]
            rows = self._rows(project)
            self.tallies[point].kills += code == -signal.SIGKILL
            self.tallies[point].doubled += [("row", str(row)) for row in rows[rows.duplicated()]]
            if parts() < before:
                self.tallies[point].lost += [("parts", str(before - parts()))]
        scored = self._scored(project)
        if not scored.equals(self.predictions):
            self.wrong.append(f"repetition {self.repetitions}: predictions of the scoring job differ")

    @staticmethod
    def _command(project: Project) -> list[str]:
        table = project.folder / "new.csv"
        if not table.exists():
            rows = pd.read_csv(project.folder / "manifest.csv", dtype=str, keep_default_na=False)
            many = pd.concat([rows] * 5, ignore_index=True).head(SCORE_ROWS).drop(columns=["label", "split"])
            many["id"] = [f"new-{row}" for row in range(len(many))]
            many.to_csv(table, index=False)
        out = str(project.folder / "scores")
        return ["score", "tiny", str(table), "--out", out, "--chunk-rows", str(CHUNK)]

    @staticmethod
    def _rows(project: Project) -> pd.Series:
        files = sorted((project.folder / "scores").glob("*/predictions/part-*.parquet"))
        tables = [pd.read_parquet(file, columns=["row"]) for file in files]
        return pd.concat(tables)["row"] if tables else pd.Series(dtype=int)

    def _scored(self, project: Project) -> pd.DataFrame:
        """The answers of a finished scoring job, in the order of the rows."""
        done = project.braid(*self._command(project), "--json")
        if done.returncode:
            raise SystemExit(done.stderr)
        files = sorted((project.folder / "scores").glob("*/predictions/part-*.parquet"))
        predictions = pd.concat([pd.read_parquet(file) for file in files]).sort_values(
            "row", ignore_index=True
        )
        return predictions[[column for column in predictions if column not in ("run_id", "model_run_id")]]

    def _durations(self, began: float) -> dict[str, float]:
        """About how long each stage took: from the end of the one before it to its own."""
        files = (self.undisturbed.workspace / "runs").glob("*/progress/*.json")
        ends = sorted((file.stat().st_mtime, file.stem) for file in files)
        durations, last = {}, began
        for end, stage in ends:
            durations[stage], last = min(end - last, _LONGEST), end
        return durations


def table(soak: Soak, wanted: int, seconds: float) -> str:
    """Write the outcome in Markdown."""
    lines = [
        "| killed | kills | lost | doubled |",
        "|---|---|---|---|",
        *(
            f"| {'at a random moment of' if point.where == 'inside' else 'at the end of'} "
            f"`{point.stage}` | {tally.kills} | {len(tally.lost)} | {len(tally.doubled)} |"
            for point, tally in soak.tallies.items()
        ),
    ]
    kills = sum(tally.kills for tally in soak.tallies.values())
    summary = (
        f"{soak.repetitions} of {wanted} repetitions over {len(soak.tallies)} points, {kills} kills of a "
        f"running command, in {seconds / 60:.0f} minutes on {date.today():%Y-%m-%d} ({machine()}). "
        f"Differences from the undisturbed run at the end: {len(soak.wrong)}."
    )
    return f"{summary}\n\n" + "\n".join(lines)


def write(page: Path, text: str) -> None:
    """Put the table in its place in the page."""
    content = page.read_text("utf-8")
    before, _, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{page}: no place for the table (between {BEGIN} and {END})")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")


def main() -> int:
    """Run it; 1 where anything was lost, doubled or different."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repetitions", type=int, default=5)
    options.add_argument("--minutes", type=float, default=55.0, help="No repetition begins after so many.")
    options.add_argument("--seed", type=int, default=0, help="Of the random moments.")
    options.add_argument("--page", type=Path, default=PAGE)
    given = options.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as name,
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        prefect_api(Path(name)) as api,
    ):
        soak = Soak(Path(name), api, given.seed)
        while soak.repetitions < given.repetitions and time.monotonic() - began < 60 * given.minutes:
            soak.repeat()
            print(f"repetition {soak.repetitions}: {time.monotonic() - began:.0f} s", flush=True)
            write(given.page, table(soak, given.repetitions, time.monotonic() - began))
    print("\n".join(map(str, soak.wrong)))
    bad = any(tally.lost or tally.doubled for tally in soak.tallies.values())
    return 1 if bad or soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
