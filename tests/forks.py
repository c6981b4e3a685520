"""Processes forked from one that has imported the steps and has no threads, within a tenth of a second."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any

from flows.workers import forkserver

SECONDS = 240  # for what takes ten on a machine that nobody else uses


def begun(function: Callable[..., object], *arguments: Any) -> BaseProcess:
    """Start a process that calls a function, in the environment of this one.

    Args:
        function: Importable by its name.
        arguments: Positional ones, which can be pickled.
    """
    forkserver.begin()
    process = forkserver.context().Process(  # type: ignore[attr-defined]
        target=_call, args=(dict(os.environ), function, arguments)
    )
    process.start()
    return process


def at_once(function: Callable[..., object], arguments: Sequence[Sequence[Any]]) -> list[Any]:
    """Call a function in several processes at the same moment.

    Args:
        function: Importable by its name; its first argument waits until all processes have called it.
        arguments: Further arguments of each process.

    Returns:
        The results, in the order of the arguments.
    """
    context = forkserver.context()
    together, results = context.Barrier(len(arguments)), [context.SimpleQueue() for _ in arguments]
    processes = [
        begun(_answer, result, function, together, *own)
        for result, own in zip(results, arguments, strict=True)
    ]
    for process in processes:
        process.join(SECONDS)
    assert [process.exitcode for process in processes] == [0] * len(processes)
    return [result.get() for result in results]


def _call(
    environment: Mapping[str, str], function: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    function(*arguments)


def _answer(
    result: SimpleQueue[Any], function: Callable[..., object], together: Barrier, *arguments: Any
) -> None:
    result.put(function(lambda: together.wait(SECONDS), *arguments))
