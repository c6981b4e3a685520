"""Commands that are ended by a signal at a chosen moment, and what they leave: counted, row by row."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
from mlflow import MlflowClient

from components.config import TrackingConfig
from components.reproduction.differences import Difference, differences, is_compared
from components.storage.atomic import checksum_file
from tasks.reproduce import Carried, carried
from tests.acceptance.e2e.project import Project, interruptible
from tests.acceptance.e2e.test_retrain import runs_of

QUICK: dict[str, Any] = {
    "evaluation": {"bootstrap": 100, "robustness": {"rows": 0}, "explanations": {"samples": 0}}
}
Items = Counter[tuple[str, ...]]


def strike(
    project: Project,
    when: Callable[[], bool],
    number: signal.Signals = signal.SIGKILL,
    command: Sequence[str] | None = None,
    delay: float = 0.0,
    patience: float = 30.0,
) -> int | None:
    """Start ``braid run``, or another command; send its process a signal once ``when`` holds.

    Args:
        project: Whose pipeline file is run.
        when: Asked again and again.
        number: The signal.
        command: Instead of ``run``.
        delay: Seconds between the moment at which it holds and the signal.
        patience: Seconds in which all that it has started has to end.

    Returns:
        The exit code; None where the command had ended before the signal.
    """
    process = subprocess.Popen(
        project.command(*(command or ("run", str(project.config)))),
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=interruptible,
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and not when():
        time.sleep(0.005)
    time.sleep(delay)
    if process.poll() is not None:
        return None
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, number)
    code = process.wait(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=patience)
    assert not alive, "workers and server end with the process that started them"
    return code


def signal_at(
    project: Project,
    step: str,
    number: signal.Signals,
    command: Sequence[str] | None = None,
    patience: float = 30.0,
) -> int:
    """As :func:`strike`, once ``step`` has begun its work. Gives the exit code."""
    known = set((project.workspace / "runs").glob("*")) if command else set()  # of other commands
    code = strike(project, lambda: has_begun(project, step, known), number, command, patience=patience)
    assert code is not None, f"the run ended before {step}"
    return code


def has_begun(project: Project, step: str, known: Set[Path] = frozenset()) -> bool:
    """Tell whether a step of a run that is not known has reported something done."""
    return any(progress["done"] > 0 for progress in _progress(project, step, known))


def is_there(project: Project, step: str, since: float, finished: bool) -> bool:
    """Tell whether a step has reported something since a time, or that it is finished."""
    reports = _progress(project, step, frozenset(), since)
    return any(each["finished"] or not finished for each in reports)


def is_finished(project: Project) -> bool:
    """Tell whether the newest run has come to its end, though its process may not have."""
    records = (project.workspace / "runs").glob("*/run.json")
    newest = max(records, key=lambda file: file.parent.name, default=None)
    return newest is not None and json.loads(newest.read_text("utf-8"))["status"] == "finished"


def _progress(project: Project, step: str, known: Set[Path], since: float = 0.0) -> list[dict[str, Any]]:
    reports = []
    for file in (project.workspace / "runs").glob(f"*/progress/{step}.json"):
        if file.parents[1] not in known and file.stat().st_mtime >= since:
            reports.append(json.loads(file.read_text("utf-8")))
    return reports


def items(project: Project) -> Items:
    """Everything that may be lost or doubled, with how often it is there.

    Runs, values of metrics by step, model versions, rows of every feature store, predicted test rows; and
    shards whose content is not that of their name, which have no business to be there.
    """
    counts: Items = Counter()
    client = MlflowClient(project.tracking_uri, project.tracking_uri)
    parents, nested = runs_of(project)
    for run in [*parents, *nested]:
        part = run.data.tags["braid.part"]
        counts[("run", run.data.tags["kind"], part)] += 1
        for name in filter(is_compared, run.data.metrics):
            for metric in client.get_metric_history(run.info.run_id, name):
                counts[("metric", part, name, str(metric.step))] += 1
    counts[("version", "tiny")] += len(client.search_model_versions("name = 'tiny'"))
    for shard in (project.workspace / "cache" / "features").glob("*/[!.]*.parquet"):
        if checksum_file(shard) != shard.stem:
            counts[("torn", shard.name)] += 2
            continue
        for key in pq.read_table(shard, columns=["key"]).column("key").to_pylist():
            counts[("feature", shard.parent.name, key)] += 1
    for table in (project.workspace / "runs").glob("*/predictions.parquet"):
        for row in pq.read_table(table, columns=["id"]).column("id").to_pylist():
            counts[("prediction", str(row))] += 1
    return +counts  # those that are there at all


def lost(before: Items, after: Items) -> list[tuple[str, ...]]:
    """List what was there and is not any more."""
    return sorted(set(before) - set(after))


def doubled(counts: Items) -> list[tuple[str, ...]]:
    """List what is there more than once."""
    return sorted(item for item, count in counts.items() if count > 1)


def account(project: Project) -> Carried:
    """Read what the newest retraining of a project was made from and came to."""
    return carried(TrackingConfig(tracking_uri=project.tracking_uri), "last")


def compared(one: Project, other: Project) -> list[Difference]:
    """List what the newest runs of two projects differ in, to the last bit; they are of one environment."""
    deviations = differences(account(one).account, account(other).account)
    return [each for each in deviations if each.part != "environment"]
