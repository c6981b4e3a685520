"""The origin of worker processes: a process that has imported the steps and done nothing else.

To import them takes a process ten seconds on a slow core. That one process does so while the command imports
its flow and Prefect's server starts; then a worker begins in a tenth of a second.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

# Elsewhere a fork does not suit libraries of the system, or there is none: a worker imports for itself.
# Python 3.11.0 would listen to every user of the machine (CVE-2022-42919).
METHOD = "forkserver" if sys.platform == "linux" and sys.version_info >= (3, 11, 1) else "spawn"
STEPS = "flows.workers.preloaded"  # the module that imports them


def context() -> BaseContext:
    """Return the context that starts worker processes; this starts none."""
    chosen = multiprocessing.get_context(METHOD)
    chosen.set_forkserver_preload([STEPS])
    return chosen


def begin() -> None:
    """Start the process that workers are forked from now, not with the first of them, and do not wait for it.

    It ends with this one. Ctrl-C in the terminal is for this one to hear, which then ends the workers. To be
    called from the main thread, which alone may say who hears it.
    """
    if context().get_start_method() != "forkserver":
        return
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, heard)
