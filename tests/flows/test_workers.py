"""A step that ends in its worker ends the flow too, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOW = """
import os, signal, sys
import flows.environment
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from flows.workers import workers

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
    try:
        one(sys.argv[1])
    except Exception as error:
        print(type(error).__name__)
"""


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("how", "told"), [("exit", "RuntimeError"), ("kill", "BrokenProcessPool"), ("other", "KeyError")]
)
def test_the_flow_is_told_and_does_not_wait(tmp_path: Path, api: str, how: str, told: str) -> None:
    (tmp_path / "ending.py").write_text(FLOW)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PREFECT_API_URL": api}
    done = subprocess.run(
        [sys.executable, "ending.py", how],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == [told], done.stderr[-2000:]
