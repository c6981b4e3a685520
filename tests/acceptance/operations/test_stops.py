"""Every way to stop ``braid up``, at every moment of a run: then it starts again, and the next run completes.

Whatever the stop leaves is ended with its reason by then: the run in Prefect and in MLflow, its place in the
limit of its deployment, and every process. The short form is in tests/flows/run/test_lost.py and
tests/flows/servers/test_tethered.py.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.acceptance.e2e.project import make_project
from tests.acceptance.faults.kills import QUICK
from tests.acceptance.operations.conftest import FINAL, Up, started, until, write_operations

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
LEFT = 5  # seconds after which no process may be left
MOMENTS = {
    "first second": None,
    "extract": "extract-picture",
    "fit": "fit-sound",
    "fusion": "fit-fusion",
    "promote": "promote",
}


def ask(number: signal.Signals, times: int = 1) -> Callable[[Up, str], None]:
    def stop(up: Up, run: str) -> None:
        for _ in range(times):
            os.kill(up.process.pid, number)
            time.sleep(0.3)

    return stop


def kill(word: str) -> Callable[[Up, str], None]:
    """kill -9 of the process that has a word in its command line, of those of ``braid up``."""

    def stop(up: Up, run: str) -> None:
        (target,) = [
            process
            for process in psutil.Process(up.process.pid).children()
            if word in " ".join(process.cmdline())
        ]
        target.kill()

    return stop


def kill_run(up: Up, run: str) -> None:
    up.process_of(run).kill()


STOPS: dict[str, Callable[[Up, str], None]] = {
    "Ctrl-C": ask(signal.SIGINT),
    "Ctrl-C twice": ask(signal.SIGINT, 2),
    "SIGTERM": ask(signal.SIGTERM),
    "kill -9 of braid up": ask(signal.SIGKILL),
    "kill -9 of Prefect's server": kill("flows.servers.application"),
    "kill -9 of MLflow's server": kill("mlflow"),
    "kill -9 of what serves": kill("flows.hosting.serving"),
    "kill -9 of the run": kill_run,
}


class ServedWorkspace:
    """A workspace that is served, again and again."""

    def __init__(self, up: Up) -> None:
        self.up, self.seeds = up, itertools.count(1)

    def trigger(self) -> str:
        """Start a run that finds nothing in the cache."""
        return self.up.trigger("retrain", changes={"seed": next(self.seeds)})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWorkspace]:
    project = make_project(tmp_path_factory.mktemp("stops"), **QUICK)
    write_operations(project)
    workspace = ServedWorkspace(started(project))
    yield workspace
    os.kill(workspace.up.process.pid, signal.SIGINT)
    workspace.up.process.wait(60)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("stop", STOPS)
def test_after_a_stop_the_next_run_completes_and_nothing_is_left(
    workspace: ServedWorkspace, stop: str, moment: str
) -> None:
    up, run = workspace.up, workspace.trigger()
    step = MOMENTS[moment]
    if step is None:
        until(lambda: up.state(run)["type"] != "SCHEDULED", 60, "the start of the run")
    else:
        until(lambda: up.begun(run, step) or up.state(run)["type"] in FINAL, 240, moment)
    family = psutil.Process(up.process.pid).children(recursive=True)
    if stop == "kill -9 of the run" and step is None:
        until(lambda: [each for each in family_of(up) if "prefect.engine" in each], 30, "its process")
    STOPS[stop](up, run)
    if stop == "kill -9 of the run":
        assert up.end_of(run, 60)["type"] == "CRASHED"
    else:
        up.process.wait(90)
        _, alive = psutil.wait_procs(family, timeout=LEFT)
        assert not alive
        workspace.up = up = started(up.project)

    ended = up.state(run)
    assert ended["type"] == "CRASHED" or (ended["type"] == "COMPLETED" and moment == "promote")
    assert ended["message"]
    following = workspace.trigger()
    assert up.end_of(following, 300)["type"] == "COMPLETED"
    assert up.mlflow_run(following).info.status == "FINISHED"  # exactly one
    until(lambda: not unfinished(up), 40, "the end of what MLflow says is running")
    limit = up.deployment("retrain")["global_concurrency_limit"]
    assert limit["active_slots"] == 0


def family_of(up: Up) -> list[str]:
    return [" ".join(each.cmdline()) for each in psutil.Process(up.process.pid).children(recursive=True)]


def unfinished(up: Up) -> list[str]:
    """Ids of the runs that MLflow says are running."""
    experiment = up.mlflow.get_experiment_by_name("braid")
    assert experiment is not None
    runs = up.mlflow.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    return [run.info.run_id for run in runs]
