"""Processes that do the same thing at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def answers_at_once(code: str, arguments: Sequence[Sequence[str]]) -> list[str]:
    """What each process says after "ready" and a line of standard input, which all get when all are ready."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *own],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for own in arguments
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), [
        errors[-500:] for _, errors in said
    ]
    return [answer for answer, _ in said]
