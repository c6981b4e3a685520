"""Whole runs under faults: two at once, the API of Prefect gone, a full disk, a clock set back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from tests.acceptance.e2e.project import Project, make_project
from tests.acceptance.e2e.test_retrain import FITS, runs_of
from tests.acceptance.faults.kills import QUICK, compared, has_begun, signal_at

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
MODEL = 4
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, at);
    if (clock == CLOCK_REALTIME) at->tv_sec -= 86400;
    return code;
}
"""


def started(project: Project, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        project.command("run", str(project.config), "--json"),
        cwd=project.folder,
        env=project.environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(project: Project, process: subprocess.Popen[str], step: str) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and not has_begun(project, step):
        time.sleep(0.02)
    assert process.poll() is None, f"the run ended before {step}"


def test_two_runs_at_once_on_a_new_store_both_finish_with_one_champion(
    tmp_path: Path, undisturbed: Project, api: str
) -> None:
    project = make_project(tmp_path, api=api, **QUICK)
    processes = [started(project) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=500)
        assert process.returncode == 0, errors
    parents, nested = runs_of(project)
    assert len({run.info.run_id for run in parents}) == 2
    assert len(nested) == 2 * len(FITS)
    one, other = (run.data.metrics for run in parents)
    assert one["test_accuracy"] == other["test_accuracy"]
    client = MlflowClient(project.tracking_uri, project.tracking_uri)
    assert len(client.search_model_versions("name = 'tiny'")) == 2
    assert str(client.get_registered_model("tiny").aliases["champion"]) in ("1", "2")
    assert sorted(run.data.tags["champion"] for run in parents) == ["no", "yes"]
    assert [each for each in compared(undisturbed, project) if each.part == "model"] == []


def test_a_run_whose_prefect_api_goes_says_so_and_is_gone_on_with(
    tmp_path: Path, undisturbed: Project, api: str
) -> None:
    project = make_project(tmp_path, **QUICK)
    process = started(project)
    wait_for(project, process, "fit-sound")
    servers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "flows.servers.application:create_app" in " ".join(child.cmdline())
    ]
    assert servers
    for server in servers:
        server.kill()
    _, errors = process.communicate(timeout=500)
    assert process.returncode == MODEL, errors
    assert "Prefect's API does not answer" in errors
    result = replace(project, api=api).run()
    parents, _ = runs_of(project)
    assert [run.info.run_id for run in parents] == [result["mlflow_run"]]
    assert compared(undisturbed, project) == []


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of some size at a folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a tmpfs, and not in every container")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_run_on_a_full_disk_says_so_and_is_gone_on_with_when_there_is_room(
    tmp_path: Path, undisturbed: Project, api: str
) -> None:
    project = make_project(tmp_path, api=api, **QUICK)
    with small_disk(project.workspace, "4m"):
        done = project.braid("run", str(project.config))
        assert done.returncode == MODEL, done.stderr
        assert "no room left" in done.stderr or "is full" in done.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", str(project.workspace)], check=True)
        project.run()
        assert compared(undisturbed, project) == []


def test_a_run_that_goes_on_after_the_clock_was_set_back_a_day_ends_as_if_it_had_not(
    tmp_path: Path, undisturbed: Project, api: str
) -> None:
    library = tmp_path / "clock.so"
    (tmp_path / "clock.c").write_text(CLOCK)
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "clock.c"), "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no C compiler to make a clock that is behind")
    clock = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(clock.stdout) < time.time() - 80_000
    project = make_project(tmp_path / "project", **QUICK)
    assert signal_at(project, "fit-fusion", signal.SIGKILL) == -signal.SIGKILL
    result = replace(project, api=api).run_alone(LD_PRELOAD=str(library))
    (parent,), nested = runs_of(project)
    assert parent.info.run_id == result["mlflow_run"]
    assert len(nested) == len(FITS)
    assert compared(undisturbed, project) == []
