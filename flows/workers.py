"""What all flows have in common: the processes that work for them, and their names in the dashboard."""

from __future__ import annotations

from pathlib import Path

from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.task_runners import ProcessPoolTaskRunner

from tasks.step import start_worker

WORKERS = get_current_settings().tasks.runner.process_pool_max_workers or 2  # inputs worked on side by side


def workers(number: int) -> ProcessPoolTaskRunner:
    """Processes that share the cores."""
    return ProcessPoolTaskRunner(max_workers=number, initializer=start_worker, initargs=(number,))


def run_name() -> str:
    """``avdigits 2026-11-23 22:30`` in the dashboard."""
    started = flow_run.scheduled_start_time
    config = Path(str(flow_run.parameters["config"])).stem
    return f"{config} {started:%Y-%m-%d %H:%M}"
