"""A step that ends in its worker ends the flow too, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.servers.local import configured_as
from flows.workers.pool import start_workers, workers

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def configured(api: str) -> Iterator[None]:
    """Flows of this process run on the shared server."""
    with configured_as(api):
        yield


def leave() -> None:
    sys.exit(3)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise KeyError("a key")


@task(persist_result=False, cache_policy=NO_CACHE)
def step(end: Callable[[], None]) -> None:
    end()


@flow(task_runner=workers(1), persist_result=False)  # type: ignore[arg-type]
def one_step(end: Callable[[], None]) -> None:
    step.submit(end).result()


@pytest.mark.parametrize(
    ("end", "error"), [(leave, RuntimeError), (die, BrokenProcessPool), (fail, KeyError)]
)
def test_the_flow_gets_an_error_and_does_not_wait(end: Callable[[], None], error: type[Exception]) -> None:
    with pytest.raises(error):
        one_step(end)


@task(persist_result=False, cache_policy=NO_CACHE)
def has_imported_the_steps() -> bool:
    return "tasks.tracking.descriptions" in sys.modules


@flow(task_runner=workers(2), persist_result=False)  # type: ignore[arg-type]
def two_workers() -> tuple[int, bool]:
    """Give the number of workers before the first step, and what that step finds."""
    before = len(multiprocessing.active_children())
    start_workers({})
    until = time.monotonic() + 60
    while len(multiprocessing.active_children()) < before + 2 and time.monotonic() < until:
        time.sleep(0.1)
    return len(multiprocessing.active_children()) - before, has_imported_the_steps.submit().result()


def test_workers_start_and_import_the_steps_before_the_first_one() -> None:
    assert two_workers() == (2, True)
