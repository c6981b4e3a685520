"""Runs of a function in a process of its own, with cold caches and its own peak of memory."""

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
    """Result and cost of a function in a new process.

    Attributes:
        result: Result of the function.
        seconds: Duration without imports.
        before: Resident memory after the imports, in MiB.
        peak: Highest resident memory, in MiB.
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
    """Read the highest resident memory of this process so far, in MiB.

    From /proc where it exists, as ``ru_maxrss`` of a child begins with that of its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 1024)
