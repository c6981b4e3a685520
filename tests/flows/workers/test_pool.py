"""A step that ends in its worker ends the flow too, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FLOW = """
import os, signal, sys
import flows.workers.environment
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from flows.workers.pool import workers

@task(persist_result=False, cache_policy=NO_CACHE)
def ends(how):
    if how == "exit":
        sys.exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise KeyError(how)

@flow(task_runner=workers(1), persist_result=False)
def one(how):
    ends.submit(how).result()

if __name__ == "__main__":
    for how in sys.argv[1:]:
        try:
            one(how)
        except Exception as error:
            print(type(error).__name__)
"""


def executed(folder: Path, api: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    return subprocess.run(
        [sys.executable, "script.py", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PREFECT_API_URL": api},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.e2e
def test_the_flow_is_told_and_does_not_wait(tmp_path: Path, api: str) -> None:
    told = {"exit": "RuntimeError", "kill": "BrokenProcessPool", "other": "KeyError"}
    done = executed(tmp_path, api, FLOW, *told)
    assert done.stdout.split() == list(told.values()), done.stderr[-2000:]


STARTED = """
import multiprocessing, sys, time
import flows.workers.environment
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from flows.workers.pool import start_workers, workers

@task(persist_result=False, cache_policy=NO_CACHE)
def imported():
    return "tasks.tracking.descriptions" in sys.modules

@flow(task_runner=workers(2), persist_result=False)
def one():
    start_workers()
    until = time.monotonic() + 60
    while len(multiprocessing.active_children()) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    print(len(multiprocessing.active_children()))
    print(imported.submit().result())

if __name__ == "__main__":  # a worker imports this file too, but not as that
    import tasks.tracking.descriptions
    one()
"""


@pytest.mark.e2e
def test_workers_start_and_import_the_steps_before_the_first_one(tmp_path: Path, api: str) -> None:
    done = executed(tmp_path, api, STARTED)
    assert done.stdout.split() == ["2", "True"], done.stderr[-2000:]
