"""The origin of worker processes: a process that has imported the steps and done nothing else.

The imports take ten seconds on a slow core. This process does them once, while the command imports its flow
and Prefect's server starts; then a worker begins in a tenth of a second.
"""

import multiprocessing
import signal
import sys
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

# Elsewhere system libraries do not survive a fork, or there is none, so each worker imports for itself.
# Python 3.11.0 would listen to every user of the machine (CVE-2022-42919).
METHOD = "forkserver" if sys.platform == "linux" and sys.version_info >= (3, 11, 1) else "spawn"
STEPS = "flows.workers.preloaded"  # the module that imports them


def context() -> BaseContext:
    """Return the context that starts worker processes; this starts none."""
    chosen = multiprocessing.get_context(METHOD)
    chosen.set_forkserver_preload([STEPS])
    return chosen


def begin() -> None:
    """Start the process that workers are forked from now, before the first of them, and do not wait for it.

    It ends with this one. Ctrl-C in the terminal reaches only this process, which then ends the workers. Call
    it in the main thread: no other may set the handler of a signal.
    """
    if context().get_start_method() != "forkserver":
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)
