"""Folder that a flow run works in: its own again, one that was cut off, or a new one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.errors import BraidError
from flows.run.folder import claim, newest_of

ROOT = Path(__file__).parents[3]
HOLDER = """
import sys
from pathlib import Path
from flows.run.folder import claim

with claim(Path(sys.argv[1]), "birds", "purpose", sys.argv[2]) as record:
    print(record.key, flush=True)
    sys.stdin.readline()
"""


@contextmanager
def held(workspace: Path, flow_run: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that works on a run, and the run's key."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(workspace), flow_run],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


def finished(workspace: Path, flow_run: str, purpose: str = "purpose", name: str = "birds") -> str:
    with claim(workspace, name, purpose, flow_run) as record:
        return record.key


def failed(workspace: Path, flow_run: str) -> str:
    with pytest.raises(ValueError), claim(workspace, "birds", "purpose", flow_run) as record:  # noqa: PT012
        key = record.key
        raise ValueError
    return key


def status(workspace: Path, key: str) -> str:
    return (workspace / "runs" / key / "run.json").read_text("utf-8")


def test_a_new_run_gets_a_folder_named_by_pipeline_and_time(tmp_path: Path) -> None:
    with claim(tmp_path, "birds", "purpose", "f1") as record:
        assert record.key.startswith("birds-20")
        assert record.flow_runs == ("f1",)
        assert record.process == os.getpid()
        assert '"running"' in status(tmp_path, record.key)
    assert '"finished"' in status(tmp_path, record.key)


def test_a_finished_run_is_not_taken_up_by_another_flow_run(tmp_path: Path) -> None:
    assert finished(tmp_path, "f1") != finished(tmp_path, "f2")


def test_a_failed_run_is_not_taken_up_by_another_flow_run(tmp_path: Path) -> None:
    key = failed(tmp_path, "f1")
    assert '"failed"' in status(tmp_path, key)
    assert finished(tmp_path, "f2") != key


def test_a_retry_of_the_same_flow_run_goes_on_in_its_folder(tmp_path: Path) -> None:
    key = failed(tmp_path, "f1")
    finished(tmp_path, "f2")
    assert finished(tmp_path, "f1") == key
    assert '"finished"' in status(tmp_path, key)


def test_an_interrupted_run_is_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), claim(tmp_path, "birds", "purpose", "f1") as record:  # noqa: PT012
        key = record.key
        raise KeyboardInterrupt
    assert '"running"' in status(tmp_path, key)
    assert finished(tmp_path, "f2") == key


def test_a_killed_run_is_taken_up_by_the_next_flow_run_of_the_same_purpose(tmp_path: Path) -> None:
    with held(tmp_path, "f1") as (process, key):
        kill(process)
    assert '"running"' in status(tmp_path, key)
    assert finished(tmp_path, "f2", purpose="other") != key
    with claim(tmp_path, "birds", "purpose", "f3") as record:
        assert record.key == key
        assert record.flow_runs == ("f1", "f3")
        assert record.process == os.getpid()
    assert finished(tmp_path, "f4") != key, "it has been finished now"


def test_a_run_that_is_at_work_is_left_alone(tmp_path: Path) -> None:
    with held(tmp_path, "f1") as (_, key), claim(tmp_path, "birds", "purpose", "f2") as record:
        assert record.key != key


def test_two_at_once_take_up_different_runs(tmp_path: Path) -> None:
    with held(tmp_path, "f1") as (process, key):
        kill(process)
    keys: list[str] = []
    together = threading.Barrier(2)

    def work(flow_run: str) -> None:
        together.wait()
        with claim(tmp_path, "birds", "purpose", flow_run) as record:
            keys.append(record.key)
            together.wait()  # both hold theirs

    threads = [threading.Thread(target=work, args=(flow_run,)) for flow_run in ("f2", "f3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 2
    assert key in keys


def test_the_newest_of_several_killed_runs_is_taken_up_first(tmp_path: Path) -> None:
    with held(tmp_path, "f1") as (first, one), held(tmp_path, "f2") as (second, other):
        kill(first)
        kill(second)
    with (
        claim(tmp_path, "birds", "purpose", "f3") as newer,
        claim(tmp_path, "birds", "purpose", "f4") as older,
    ):
        assert {newer.key, older.key} == {one, other}


def test_a_run_folder_without_a_record_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "runs" / "birds-cut-off-before-its-record").mkdir(parents=True)
    assert finished(tmp_path, "f1").startswith("birds-20")


def test_the_newest_run_of_a_process_is_found_while_it_works(tmp_path: Path) -> None:
    assert newest_of(tmp_path, os.getpid()) is None
    with claim(tmp_path, "birds", "purpose", "f1") as record:
        assert newest_of(tmp_path, os.getpid()) == tmp_path / "runs" / record.key
        assert newest_of(tmp_path, 1) is None
    assert newest_of(tmp_path, os.getpid()) is None


def test_work_with_a_key_of_its_own_has_one_folder_whatever_became_of_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError), claim(tmp_path, "job", "purpose", "first", key="job-1"):
        raise ValueError
    with claim(tmp_path, "job", "purpose", "second", key="job-1") as record:
        assert (record.key, record.flow_runs, record.status) == ("job-1", ("first", "second"), "running")
        with (
            pytest.raises(BraidError, match=f"process {os.getpid()} is working on job-1"),
            claim(tmp_path, "job", "purpose", "third", key="job-1"),
        ):
            pass
    with claim(tmp_path, "job", "purpose", "fourth", key="job-1") as record:
        assert record.key == "job-1"
