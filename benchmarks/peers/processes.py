"""A peer's process: its environment variables, its end in time, the memory of it and all that it starts."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_EVERY = 0.5  # seconds between two looks at the memory
_LAST = 2_000  # characters of the log that a failure shows
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


@dataclass(frozen=True)
class Ended:
    """End of a process.

    Attributes:
        failure: Reason; empty where it ended well.
        seconds: Duration, imports included.
        cpu: Processor seconds of it and its children, which hold still where other work takes turns.
        peak: Highest memory of the process and its children together, in MiB; shared pages count once.
    """

    failure: str
    seconds: float
    cpu: float
    peak: float


def run_process(
    command: Sequence[str], log: Path, cores: int, limit: float, environment: Mapping[str, str]
) -> Ended:
    """Run a command on some cores until it ends, and end it with all its children at the limit.

    Args:
        command: Program and arguments.
        log: File of its output.
        cores: Number of processor cores that it may use.
        limit: Seconds.
        environment: Variables besides those of this process.
    """
    variables = {**os.environ, **dict.fromkeys(_THREADS, str(cores)), **environment}
    begin, before, peak, late = time.monotonic(), _processor_seconds(), 0.0, False
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=variables)
        tree = psutil.Process(child.pid)
        _bind(tree, cores)
        try:
            while child.poll() is None:
                peak = max(peak, _memory(tree))
                if time.monotonic() - begin > limit:
                    late = True
                    _end(tree)
                time.sleep(_EVERY)
        finally:  # an interrupted comparison leaves no process
            _end(tree)
    failure = ""
    if late:
        failure = f"did not end within {limit:.0f} s"
    elif child.returncode:
        failure = f"exit {child.returncode}: {last_line(log)}"
    return Ended(failure, time.monotonic() - begin, _processor_seconds() - before, peak)


def last_line(log: Path) -> str:
    """Read the last line of a log that holds a text."""
    lines = log.read_text("utf-8", errors="replace")[-_LAST:].strip().splitlines()
    return lines[-1].strip() if lines else "no output"


def _processor_seconds() -> float:
    """Add up the processor seconds of all processes that this one started and that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _bind(tree: psutil.Process, cores: int) -> None:
    """Keep a process and what it starts on some cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))[:cores]
        os.sched_setaffinity(tree.pid, allowed)


def _memory(tree: psutil.Process) -> float:
    total = 0
    for process in _family(tree):
        try:
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
        except psutil.Error:  # it has ended, or it is another user's
            continue
    return total / 2**20


def _end(tree: psutil.Process) -> None:
    for process in _family(tree):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _family(tree: psutil.Process) -> list[psutil.Process]:
    try:
        return [tree, *tree.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
