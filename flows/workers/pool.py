"""Worker processes of the flows, and names of their runs in the dashboard."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from importlib import import_module
from multiprocessing.context import BaseContext
from pathlib import Path
from threading import Thread
from typing import Any

from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.settings import get_current_settings

from flows.prefect_internals.runs import ContextTaskRunner
from flows.workers import forkserver
from flows.workers.process import start_worker

WORKERS = get_current_settings().tasks.runner.process_pool_max_workers or 2  # inputs at once
_PATIENCE = 5.0  # seconds


class Workers(ContextTaskRunner):
    """Task runner whose ``max_workers`` processes share the cores; see :mod:`flows.workers.forkserver`."""

    def process_context(self) -> BaseContext:
        return forkserver.context()

    expected: Mapping[str, float] = {}
    """Seconds that the steps of each input took in earlier runs."""

    def seconds_left(self, task: str, parameters: Mapping[str, Any]) -> float:
        return self.expected.get(str(parameters.get("name")), 0.0)

    def process_start(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
        return start_worker, (self.size, dict(os.environ))


def workers(number: int) -> Workers:
    """Make a task runner with this many processes."""
    return Workers(max_workers=number)


def start_workers(expected: Mapping[str, float]) -> None:
    """Have the processes of the running flow start and import the steps meanwhile.

    Otherwise each does so when it is first needed, which takes seconds.

    Args:
        expected: Seconds that the steps of each input took in earlier runs; the longest begin first.
    """
    context = FlowRunContext.get()
    runner = context.task_runner if context is not None else None
    if isinstance(runner, Workers) and runner.pool is not None:
        runner.expected = expected
        Thread(target=_start, args=(runner.pool, runner.size), daemon=True).start()


def _start(pool: ProcessPoolExecutor, number: int) -> None:
    with suppress(RuntimeError):  # the flow has ended already
        for _ in range(number):
            pool.submit(import_module, forkserver.STEPS)


def stop_workers() -> None:
    """End the processes of a cancelled run in the middle of their steps, so that the flow need not wait.

    They leave what a kill leaves: every file is written whole or not at all.
    """
    processes = multiprocessing.active_children()
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_PATIENCE)
        if process.is_alive():
            process.kill()


def run_name() -> str:
    """Name a run in the dashboard: ``avdigits 2026-11-23 22:30``."""
    return _dated(Path(str(flow_run.parameters["config"])).stem)


def table_run_name(word: str) -> str:
    """Name a run of a table and a model in the dashboard: ``shoes by sorter 2026-11-23 22:30``."""
    config = flow_run.parameters["config"]
    options = config if isinstance(config, dict) else config.model_dump()
    return _dated(f"{Path(options['manifest']).stem} {word} {options['model']}")


def _dated(name: str) -> str:
    return f"{name} {flow_run.scheduled_start_time:%Y-%m-%d %H:%M}"
