"""Marks of living processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from components.runtime.living import dead, forget, living
from tests.forks import begun


def die_marked(folder: Path) -> None:
    with living(folder):
        os.kill(os.getpid(), signal.SIGKILL)


def test_only_who_was_killed_leaves_a_dead_mark(tmp_path: Path) -> None:
    with living(tmp_path) as mine:
        assert dead(tmp_path) == []
        killed = begun(die_marked, tmp_path)
        killed.join()
        (other,) = dead(tmp_path)
        assert other.startswith(f"{killed.pid}-")
        forget(tmp_path, other)
        assert [file.stem for file in tmp_path.iterdir()] == [mine]
    assert list(tmp_path.iterdir()) == []
