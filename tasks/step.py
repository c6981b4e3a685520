"""What all steps have in common: when they are tried again, how long they may take, who waits for a GPU."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from multiprocessing.connection import wait
from typing import Any, TypeVar

import prefect.engine
from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency
from prefect.context import refresh_global_settings_context
from prefect.tasks import exponential_backoff

from components.config.engine import EngineConfig
from components.errors import BraidError, ServiceError
from components.secrets import guard_logs
from components.training.device import share_cores
from tasks.service import reached

_DAY = 24 * 3600
Yielded = TypeVar("Yielded")
Returned = TypeVar("Returned")


def worth_retrying(task: Any, task_run: Any, state: Any) -> bool:
    """Whether trying again can help: not where the user has to mend something first."""
    try:
        state.result()
    except BraidError as error:
        return isinstance(error, ServiceError)
    except Exception:
        return True
    return False


def step(
    *, name: str, task_run_name: str, tags: list[str]
) -> Callable[[Callable[..., Returned]], Task[..., Returned]]:
    """A Prefect task with what all steps have in common.

    Prefect's result cache stays off: every step asks the content-keyed stores what there is to do.
    """
    settled = task(
        name=name,
        task_run_name=task_run_name,
        tags=tags,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=2,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=worth_retrying,
        timeout_seconds=_DAY,
    )

    def made(function: Callable[..., Returned]) -> Task[..., Returned]:
        @wraps(function)
        def run(*arguments: Any, **named: Any) -> Returned:
            with reached():
                return function(*arguments, **named)

        return settled(run)

    return made


@contextmanager
def gpu_slot(engine: EngineConfig | None = None) -> Iterator[None]:
    """Hold a slot of the global concurrency limit ``gpu`` where somebody has made one.

    Not for an engine that divides the GPUs of a cluster itself.
    """
    if engine is not None and engine.name == "ray":
        yield
        return
    with concurrency("gpu", occupy=1, strict=False):
        yield


def follow(steps: Generator[Yielded, None, Returned], each: Callable[[Yielded], None]) -> Returned:
    """Run a generator to its end, telling ``each`` of what it yields; give what it returns."""
    while True:
        try:
            item = next(steps)
        except StopIteration as end:
            return end.value
        each(item)


def start_worker(workers: int, environment: Mapping[str, str]) -> None:
    """Prepare a worker process: its share of the cores, and an end when its parent ends, however it ends.

    Args:
        workers: Processes that share the cores.
        environment: Of the flow; what this process was forked from may be older than that.
    """
    os.environ.clear()
    os.environ.update(environment)
    refresh_global_settings_context()
    share_cores(workers)
    guard_logs()
    prefect.engine.handle_engine_signals = _as_errors  # type: ignore[assignment]
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextmanager
def _as_errors(task_run_id: Any) -> Iterator[None]:
    """What ends a step becomes an error that reaches the flow and says whether a service is gone.

    Prefect 3.8 leaves by ``exit(1)`` here where its API is gone. That is no ``Exception``, so it ends the
    thread of the flow that fetches results from the pool, and the flow waits for ever. What an error was
    raised from does not come through the pool, so it is looked at on this side.
    """
    with reached():
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
