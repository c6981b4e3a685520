"""A process ends with the one that started it, however that ends and whatever it is at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

LOST = 5  # seconds after which nothing may be left
START = """
import sys, time
from pathlib import Path
from flows.servers import tethered
print(tethered.start(sys.argv[1], sys.argv[2:], Path("log"), {}).pid, flush=True)
time.sleep(600)
"""
BUSY = "import re; re.match('(a*)*b', 'a' * 40)"  # a call that holds the interpreter for hours


@contextmanager
def starter(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A process that has started a module on the tether, and the process of that module."""
    (folder / "busy.py").write_text(BUSY)
    paths = [str(folder), *(path for path in sys.path if path)]
    process = subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        cwd=folder,
        env={"PYTHONPATH": ":".join(paths)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, psutil.Process(int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("module", ["http.server", "busy"])
def test_a_module_ends_with_the_process_that_started_it(tmp_path: Path, module: str) -> None:
    with starter(tmp_path, module) as (process, child):
        assert child.is_running()
        process.kill()
        process.wait()
        psutil.wait_procs([child], timeout=LOST)
        assert not child.is_running()


def test_a_chain_ends_from_any_link(tmp_path: Path) -> None:
    """The first starts the second, which starts the third: as ``braid up`` does with runs."""
    (tmp_path / "second.py").write_text(START)
    with starter(tmp_path, "second", "http.server") as (process, second):
        third = next(iter(_children(second)))
        process.kill()
        process.wait()
        psutil.wait_procs([second, third], timeout=LOST)
        assert not second.is_running()
        assert not third.is_running()


def test_one_whose_parent_is_gone_before_it_begins_does_not_begin() -> None:
    done = subprocess.run([sys.executable, "-m", "flows.servers.tethered", "1", "http.server"], timeout=60)
    assert done.returncode == 1


def test_the_module_gets_its_arguments_and_its_name(tmp_path: Path) -> None:
    (tmp_path / "named.py").write_text("import sys; print(__name__, sys.argv[1:])")
    code = "import subprocess, sys; from flows.servers import tethered; "
    code += "sys.exit(subprocess.call(tethered.command('named', 'a', 'b')))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join([str(tmp_path), *(path for path in sys.path if path)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split(maxsplit=1) == ["__main__", "['a', 'b']\n"]


def _children(process: psutil.Process) -> list[psutil.Process]:
    """Wait for the first child of a process."""
    for _ in range(200):
        if children := process.children():
            return children
        psutil.wait_procs([process], timeout=0.1)
    raise AssertionError(f"{process} has started nothing")
