"""What all flows have in common: the processes that work for them, and their names in the dashboard."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.task_runners import ProcessPoolTaskRunner

from tasks.step import start_worker

WORKERS = get_current_settings().tasks.runner.process_pool_max_workers or 2  # inputs worked on side by side
_PATIENCE = 5.0  # seconds


def workers(number: int) -> ProcessPoolTaskRunner:
    """Processes that share the cores."""
    return ProcessPoolTaskRunner(max_workers=number, initializer=start_worker, initargs=(number,))


def stop_workers() -> None:
    """End the processes that work for a run that is to end now, in the middle of what they do.

    Without it a cancelled flow would wait for their steps. What they leave is what a kill leaves: everything
    is written whole or not at all.
    """
    processes = multiprocessing.active_children()
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_PATIENCE)
        if process.is_alive():
            process.kill()


def run_name() -> str:
    """``avdigits 2026-11-23 22:30`` in the dashboard."""
    return _dated(Path(str(flow_run.parameters["config"])).stem)


def table_run_name(word: str) -> str:
    """``shoes by sorter 2026-11-23 22:30`` in the dashboard, of a flow that is given a table and a model."""
    config = flow_run.parameters["config"]
    said = config if isinstance(config, dict) else config.model_dump()
    return _dated(f"{Path(said['manifest']).stem} {word} {said['model']}")


def _dated(name: str) -> str:
    return f"{name} {flow_run.scheduled_start_time:%Y-%m-%d %H:%M}"
