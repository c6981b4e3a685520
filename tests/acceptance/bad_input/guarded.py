"""Tries whole corpora in a process of its own, which may die, hang or run out of memory.

``python -m tests.acceptance.bad_input.guarded FIRST EVERY`` is that process: a line of JSON for each case.
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

from tests.acceptance.bad_input.case import Case
from tests.acceptance.bad_input.oracle import CORPORA, Finding, outcome

SECONDS = 20.0  # of computing for one case; the slowest takes three
WAIT = 300.0  # seconds for one case, or to be ready, on a busy machine
MEMORY = 3 * 2**30  # bytes that the process may have beyond what it has when all is imported
_ROOT = Path(__file__).parents[3]


@cache
def all_cases(every: int = 1) -> tuple[Case, ...]:
    """Every case of every kind, or every ``every``-th."""
    return tuple(case for make in CORPORA.values() for case in make())[::every]


def try_all(every: int = 1) -> Iterator[Finding]:
    """Give the outcome of the cases; a process that dies or hangs is started again after the case."""
    names = [(case.kind, case.name) for case in all_cases(every)]
    first = 0
    while first < len(names):
        for finding in _one_process(names[first:], first, every):
            yield finding
            first += 1


def _one_process(names: list[tuple[str, str]], first: int, every: int) -> Iterator[Finding]:
    command = [sys.executable, "-m", "tests.acceptance.bad_input.guarded", str(first), str(every)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=_ROOT, env=environment
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    waiting = selectors.DefaultSelector()
    waiting.register(process.stdout, selectors.EVENT_READ)
    held, finished = b"", 0
    since, computed = time.monotonic(), None
    try:
        while True:
            if waiting.select(timeout=1.0):
                read = process.stdout.read()
                if read == b"":
                    if process.wait() != 0:
                        yield Finding(
                            *names[finished], "crashed", f"the process ended with {process.returncode}"
                        )
                    return
                *lines, held = (held + (read or b"")).split(b"\n")
                for line in lines:
                    since, computed = time.monotonic(), _computed(process.pid)
                    if line != b"ready":
                        yield Finding(**json.loads(line))
                        finished += 1
            took = 0.0 if computed is None else _computed(process.pid) - computed
            if took > SECONDS or time.monotonic() - since > WAIT:
                yield Finding(*names[finished], "hung", f"more than {took:.0f} s of computing")
                return
    finally:
        waiting.close()
        process.kill()
        process.wait()
        process.stdout.close()


def _computed(process: int) -> float:
    """Seconds that a process has computed; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child(first: int, every: int) -> None:
    warnings.simplefilter("ignore")
    cases = all_cases(every)
    have = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (have + MEMORY, have + MEMORY))
    print("ready", flush=True)
    for case in cases[first:]:
        print(json.dumps(asdict(outcome(case))), flush=True)


if __name__ == "__main__":
    _child(int(sys.argv[1]), int(sys.argv[2]))
