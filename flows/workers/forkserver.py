"""The origin of worker processes: a process that has imported the steps and done nothing else.

The imports take ten seconds on a slow core. A command does them once, for itself and for this process, which
is forked from it; then a worker begins in a tenth of a second.
"""

import io
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from itertools import chain
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.context import BaseContext
from typing import Any

# Elsewhere system libraries do not survive a fork, or there is none, so each worker imports for itself.
# Python 3.11.0 would listen to every user of the machine (CVE-2022-42919).
METHOD = "forkserver" if sys.platform == "linux" and sys.version_info >= (3, 11, 1) else "spawn"
_STDERR = 2
STEPS = "flows.workers.preloaded"  # the module that imports them


def context() -> BaseContext:
    """Return the context that starts worker processes; this starts none."""
    chosen = multiprocessing.get_context(METHOD)
    chosen.set_forkserver_preload([STEPS])
    return chosen


def begin() -> None:
    """Fork the process that workers are forked from, before the first of them, and do not wait for it.

    It has what this process has imported, imports the remaining steps, and ends with this process. Ctrl-C in
    the terminal reaches only this process, which then ends the workers. Call it in the main thread, since no
    other may set the handler of a signal, and before any other begins: a lock that a thread holds is locked
    for ever in a fork.
    """
    if context().get_start_method() != "forkserver":
        return
    resource_tracker.ensure_running()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # Python 3.14 hands a key to the process besides.
        with _forks_instead_of_starts() if sys.version_info < (3, 14) else nullcontext():
            forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)


@contextmanager
def _forks_instead_of_starts() -> Iterator[None]:
    """Have multiprocessing run its next process in a fork of this one instead of a new interpreter.

    Goes when a fork server can be forked from a process by a public name.
    """
    start = util.spawnv_passfds
    util.spawnv_passfds = _run_forked
    try:
        yield
    finally:
        util.spawnv_passfds = start


def _run_forked(path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> int:
    """Serve forks in a fork of this process, which has the given open files and the standard streams alone.

    Whoever captures output (pytest, a notebook) has files of his own behind the streams of Python. Were they
    closed, the next file would get the same number, and a line of a log would end in the middle of a pipe.

    Args:
        path: Program that a start would run.
        args: Arguments of that program.
        passfds: Socket that listens, and pipe whose end says that nobody is left to serve.

    Returns:
        Id of the process.
    """
    process = os.fork()
    if process:
        return process
    try:
        written, first = _written(), _STDERR + 1
        for file in (*sorted(written.union(passfds)), os.sysconf("SC_OPEN_MAX")):
            os.closerange(first, file)
            first = file + 1
        for file in written:
            os.dup2(_STDERR, file)
        listener, alive = passfds
        # The thread that forked this process holds the lock.
        forkserver._forkserver._lock = threading.Lock()  # type: ignore[attr-defined]
        forkserver.main(listener, alive, [STEPS])
    finally:
        os._exit(0)


def _written() -> set[int]:
    """Numbers of the open files that Python and its logs write to, besides the standard streams."""
    loggers = [logging.root, *logging.Logger.manager.loggerDict.values()]
    handlers = chain.from_iterable(getattr(each, "handlers", ()) for each in loggers)
    streams: list[Any] = [sys.stdout, sys.stderr, *(getattr(each, "stream", None) for each in handlers)]
    numbers = set()
    for stream in streams:
        with suppress(AttributeError, io.UnsupportedOperation, ValueError):  # not a file, or a closed one
            numbers.add(stream.fileno())
    return {number for number in numbers if number > _STDERR}
