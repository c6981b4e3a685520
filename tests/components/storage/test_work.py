"""Work folders: done once, locked while somebody works, free again when they are killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.storage.work import work

ROOT = Path(__file__).parents[3]
# takes the lock, says so, and finishes when it is told to
HOLDER = """
import sys
from pathlib import Path
from components.storage.work import work

with work(Path(sys.argv[1]), "key") as place:
    print("locked", place.result, flush=True)
    sys.stdin.readline()
    place.finish({"by": sys.argv[2]})
"""


@contextmanager
def holder(root: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that asks for the lock."""
    command = [sys.executable, "-c", HOLDER, str(root), name]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_work_is_undone_until_it_is_finished_and_then_stays_done(tmp_path: Path) -> None:
    with work(tmp_path, "key") as unit:
        assert unit.result is None
        assert unit.finish({"rows": 3}) == {"rows": 3}
        assert unit.result == {"rows": 3}
    with work(tmp_path, "key") as unit:
        assert unit.result == {"rows": 3}
    with work(tmp_path, "other") as unit:
        assert unit.result is None


def test_an_exception_gives_the_lock_back_and_leaves_the_work_undone(tmp_path: Path) -> None:
    try:
        with work(tmp_path, "key") as unit:
            (unit.folder / "checkpoint").write_text("half")
            raise ValueError
    except ValueError:
        pass
    with work(tmp_path, "key") as unit:
        assert unit.result is None
        assert (unit.folder / "checkpoint").read_text() == "half"


def test_a_second_process_waits_and_then_finds_the_work_done(tmp_path: Path) -> None:
    with holder(tmp_path, "first") as first:
        assert line_of(first) == "locked None"
        with holder(tmp_path, "second") as second:
            # 1 s is more than it needs to start and ask
            assert select.select([second.stdout], [], [], 1.0)[0] == [], "the second process did not wait"
            assert second.poll() is None
            assert first.stdin is not None
            print(file=first.stdin, flush=True)
            assert first.wait(10) == 0
            assert line_of(second) == "locked {'by': 'first'}"


def test_a_killed_process_frees_the_lock_and_the_work_is_undone(tmp_path: Path) -> None:
    with holder(tmp_path, "first") as first:
        assert line_of(first) == "locked None"
        os.kill(first.pid, signal.SIGKILL)
        first.wait(10)
    with work(tmp_path, "key") as unit:
        assert unit.result is None
