"""Start of a worker process."""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from prefect.context import refresh_global_settings_context

from components.runtime.device import share_cores
from components.runtime.parent import end_with
from flows.prefect_internals.runs import replace_engine_signals, share_certificates
from flows.process_settings import configure_process
from flows.workers import forkserver
from tasks.tracking.service import service_errors


def start_worker(workers: int, environment: Mapping[str, str]) -> None:
    """Prepare a worker process: its share of the cores, and its end when the parent ends in any way.

    Args:
        workers: Processes that share the cores.
        environment: Variables of the flow; the process that this one was forked from may have older ones.
    """
    os.environ.clear()
    os.environ.update(environment)
    configure_process()
    refresh_global_settings_context()
    share_cores(workers)
    replace_engine_signals(_as_errors)
    share_certificates()
    if forkserver.METHOD == "forkserver":
        end_with(os.getppid())  # even while a library holds the interpreter, and the thread below waits
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextmanager
def _as_errors(task_run_id: Any) -> Iterator[None]:
    """Turn whatever ends a step into an error that reaches the flow, and names a service that is gone.

    Prefect 3.8 leaves by ``exit(1)`` here where its API is gone. That is no ``Exception``, so it ends the
    thread of the flow that fetches results from the pool, and the flow waits for ever. The cause of an error
    does not come through the pool, so it is read here.
    """
    with service_errors():
        try:
            yield
        except Exception:
            raise
        except BaseException as error:
            raise RuntimeError(f"a step was ended by {type(error).__name__}") from error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
