"""Runs a function in a process of its own: nothing is warm from before, and its peak of memory its alone."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Child(Generic[Result]):
    """What became of it.

    Attributes:
        result: What the function gave.
        seconds: That it took, imports left out.
        before: Resident memory after the imports, in MiB.
        peak: Most resident memory there ever was, in MiB.
    """

    result: Result
    seconds: float
    before: float
    peak: float


def in_child(function: Callable[..., Result], *arguments: object) -> Child[Result]:
    """Call ``function`` in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, function, arguments).result()


def _measured(function: Callable[..., Result], arguments: tuple[object, ...]) -> Child[Result]:
    before, begin = peak_memory(), time.perf_counter()
    result = function(*arguments)
    return Child(result, time.perf_counter() - begin, before, peak_memory())


def peak_memory() -> float:
    """Most resident memory of this process so far, in MiB.

    From /proc where there is one: ``ru_maxrss`` of a child begins with what its parent had.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 1024)
