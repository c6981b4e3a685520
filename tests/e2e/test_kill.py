"""kill -9 in the middle of each long step, Ctrl-C and SIGTERM; then the same command again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from tests.e2e.conftest import Project, interruptible, make_project
from tests.e2e.test_retrain import FITS, runs_of

pytestmark = pytest.mark.e2e
STEPS = ("fit-sound", "extract-picture", "fit-fusion")


def signal_at(
    project: Project, step: str, number: signal.Signals, command: Sequence[str] | None = None
) -> int:
    """Start ``braid run``, or another command; send its process a signal once ``step`` has begun its work.

    Gives its exit code.
    """
    known = set((project.workspace / "runs").glob("*")) if command else set()  # of other commands
    process = subprocess.Popen(
        project.command(*(command or ("run", str(project.config)))),
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=interruptible,
    )
    children = []
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and not has_begun(project, step, known):
        time.sleep(0.02)
    assert process.poll() is None, f"the run ended before {step}"
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, number)
    code = process.wait(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "workers and server end with the process that started them"
    return code


def has_begun(project: Project, step: str, known: Set[Path]) -> bool:
    """Whether a step of a run that is not known has reported something done."""
    for file in (project.workspace / "runs").glob(f"*/progress/{step}.json"):
        if file.parents[1] not in known:
            return json.loads(file.read_text())["done"] > 0
    return False


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, Any]]:
    """A run that was killed in each step in turn and then left to finish."""
    project = make_project(tmp_path_factory.mktemp("killed"))
    for step in STEPS:
        signal_at(project, step, signal.SIGKILL)
    return project, project.run()


def test_the_run_finishes_with_the_metrics_of_an_undisturbed_one(
    killed: tuple[Project, dict[str, Any]], first_run: dict[str, Any]
) -> None:
    _, result = killed
    assert result["test"] == first_run["test"]
    assert result["subsets"] == first_run["subsets"]


def test_there_is_one_parent_run_and_nothing_is_logged_twice(killed: tuple[Project, dict[str, Any]]) -> None:
    project, result = killed
    parents, nested = runs_of(project)
    assert [run.info.run_id for run in parents] == [result["mlflow_run"]]
    assert sorted(run.data.tags["braid.part"] for run in nested) == sorted(FITS)
    client = MlflowClient(project.tracking_uri)
    for run in [*parents, *nested]:
        for name in run.data.metrics:
            if not name.startswith("system/"):
                steps = [metric.step for metric in client.get_metric_history(run.info.run_id, name)]
                assert len(steps) == len(set(steps)), f"{run.info.run_name}: {name} at {steps}"
    assert len(client.search_model_versions("name = 'tiny'")) == 1


def test_no_half_written_file_is_left_where_it_could_be_read(killed: tuple[Project, dict[str, Any]]) -> None:
    project, _ = killed
    visible = [
        path
        for path in Path(project.workspace / "cache").rglob("*")
        if path.is_file() and path.name[0] != "."
    ]
    assert visible
    assert not [path for path in visible if path.suffix in {".tmp", ".damaged"}]


def test_an_interrupted_run_is_killed_in_mlflow_and_gone_on_with(
    tmp_path: Path, first_run: dict[str, Any], api: str
) -> None:
    project = make_project(tmp_path)
    interruptions = (("fit-sound", signal.SIGINT, 130), ("fit-fusion", signal.SIGTERM, -signal.SIGTERM))
    for step, number, code in interruptions:
        assert signal_at(project, step, number) == code
        (parent,), _ = runs_of(project)
        assert parent.info.status == "KILLED"
    result = replace(project, api=api).run()
    (parent,), nested = runs_of(project)
    assert (parent.info.run_id, parent.info.status) == (result["mlflow_run"], "FINISHED")
    assert len(nested) == len(FITS)
    assert result["test"] == first_run["test"]
