"""Progress of a run: bars on a terminal, lines in a log."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from flows.cli.terminal import plain, print_text
from flows.run.folder import newest_of
from tasks.progress import Standing, standings

_EVERY = 0.3  # seconds between two updates
_TENTHS = 10  # lines of a step in a log, at most, besides its first and last


@contextmanager
def followed(console: Console, workspace: Path) -> Iterator[Callable[[], None]]:
    """Show the progress of this process's run while the block runs.

    Without a terminal (CI, cron, a container, a pipe) it prints lines: as a step begins, at each tenth of it,
    and at its end.

    Yields:
        Function that begins to follow the run. Until then there is one line, and no thread, as workers are
        forked meanwhile.
    """
    with (
        _bars(console) if console.is_terminal else _lines(console) as show,
        _following(show, workspace) as begin,
    ):
        yield begin


@contextmanager
def _following(show: Callable[[list[Standing]], None], workspace: Path) -> Iterator[Callable[[], None]]:
    """Show the standings of this process's run, again and again, from the call of what is yielded on."""
    stop = threading.Event()

    def follow() -> None:
        run: Path | None = None
        over = False
        while not over:
            over = stop.wait(_EVERY)
            run = run or newest_of(workspace, os.getpid())
            show(standings(run) if run else [])

    thread = threading.Thread(target=follow, daemon=True)
    try:
        yield thread.start
    finally:
        stop.set()
        if thread.ident is not None:
            thread.join()


@contextmanager
def _bars(console: Console) -> Iterator[Callable[[list[Standing]], None]]:
    """Draw a bar for each step."""
    columns = (
        TextColumn("{task.fields[mark]} {task.description}", table_column=Column(no_wrap=True, min_width=20)),
        BarColumn(bar_width=None, table_column=Column(min_width=8, max_width=20, ratio=1)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[note]}", style="dim", table_column=Column(ratio=3, overflow="fold")),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, expand=True, auto_refresh=False) as bars:
        starting = bars.add_task("starting", total=None, mark=" ", note="Prefect and MLflow")
        bars.refresh()

        def show(steps: list[Standing]) -> None:
            for step in steps:
                bars.update(starting, visible=False)
                if step.step not in tasks:
                    tasks[step.step] = bars.add_task(plain(step.step), mark=" ", note="")
                task = tasks[step.step]
                bars.update(task, total=step.total, completed=step.done, note=plain(step.note))
                if step.finished:
                    bars.update(task, mark="[green]✓[/]")
                    bars.stop_task(task)
            bars.refresh()

        yield show


@contextmanager
def _lines(console: Console) -> Iterator[Callable[[list[Standing]], None]]:
    """Print a line for each step that begins, gets on by a tenth, or ends, with the seconds until then."""
    began = time.monotonic()
    last_tenths: dict[str, int] = {}  # of a step in its last line; one more at its end

    def say(text: str) -> None:
        print_text(console, f"{time.monotonic() - began:5.0f} s  {text}")

    def show(steps: list[Standing]) -> None:
        for step in steps:
            tenths = _TENTHS + 1 if step.finished else _TENTHS * step.done // max(step.total, 1)
            if tenths <= last_tenths.get(step.step, -1):
                continue
            at = "" if step.finished else f" {step.done}/{step.total}"
            text = ": ".join(filter(None, (f"{step.step}{at}", step.note)))
            say(f"{text}, done" if step.finished else text)
            last_tenths[step.step] = tenths

    say("starting Prefect and MLflow")
    yield show
