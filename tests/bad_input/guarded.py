"""Tries whole corpora in a process of its own, which may die, hang or run out of memory.

``python -m tests.bad_input.guarded FIRST`` is that process: a line of JSON for each case.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

from tests.bad_input.case import Case
from tests.bad_input.judge import CORPORA, Finding, judged

SECONDS = 20.0  # for one case on a busy machine; the slowest takes one
START = 180.0  # until the process is ready: it imports torch
MEMORY = 3 * 2**30  # bytes that the process may have beyond what it has when all is imported
_ROOT = Path(__file__).parents[2]


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case of every kind."""
    return tuple(case for make in CORPORA.values() for case in make())


def try_all() -> Iterator[Finding]:
    """What became of every case; a process that dies or hangs is started again behind the case."""
    names = [(case.kind, case.name) for case in all_cases()]
    first = 0
    while first < len(names):
        for finding in _one_process(names[first:], first):
            yield finding
            first += 1


def _one_process(names: list[tuple[str, str]], first: int) -> Iterator[Finding]:
    command = [sys.executable, "-m", "tests.bad_input.guarded", str(first)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=_ROOT, env=environment
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    waiting = selectors.DefaultSelector()
    waiting.register(process.stdout, selectors.EVENT_READ)
    held, told = b"", 0
    since, limit = time.monotonic(), START
    try:
        while waiting.select(timeout=max(0.0, since + limit - time.monotonic())):
            read = process.stdout.read()
            if read == b"":
                if process.wait() != 0:
                    yield Finding(*names[told], "crashed", f"the process ended with {process.returncode}")
                return
            *lines, held = (held + (read or b"")).split(b"\n")
            for line in lines:
                since, limit = time.monotonic(), SECONDS
                if line != b"ready":
                    yield Finding(**json.loads(line))
                    told += 1
        yield Finding(*names[told], "hung", f"more than {limit:.0f} s")
    finally:
        waiting.close()
        process.kill()
        process.wait()
        process.stdout.close()


def _child(first: int) -> None:
    warnings.simplefilter("ignore")
    cases = all_cases()
    have = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (have + MEMORY, have + MEMORY))
    print("ready", flush=True)
    for case in cases[first:]:
        print(json.dumps(asdict(judged(case))), flush=True)


if __name__ == "__main__":
    _child(int(sys.argv[1]))
