"""Prefect's server as braid runs it: on SQLite, where many may write at once."""

import gc
import os
import threading
import time

from flows.process_settings import configure_process
from flows.servers.doors import ADDRESSES, guarded
from flows.servers.retrying import App, retrying
from flows.workers.imports import imported

_COLLECT_SECONDS = 1.0
_FULL_EVERY = 30  # collections


def create_app() -> App:
    """Build the application that uvicorn serves."""
    configure_process()
    imported(["flows.prefect_internals.server", "prefect.server.api.server"])
    from flows.prefect_internals.server import PAGES, prefect_application

    _collect_garbage_apart()
    return guarded(retrying(prefect_application()), os.environ[ADDRESSES].split(","), PAGES)


def _collect_garbage_apart() -> None:
    """Collect garbage in a thread of its own, never in that of the event loop.

    Among it are cursors of SQLite, and to free one is to wait for its connection. While that connection waits
    for a lock whose holder needs the event loop to commit, the loop must not be what waits.
    """
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    collections = 0
    while True:
        time.sleep(_COLLECT_SECONDS)
        collections += 1
        gc.collect(2 if collections % _FULL_EVERY == 0 else 1)
