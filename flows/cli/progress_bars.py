"""Progress bars of a run on the terminal."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from flows.cli.terminal import plain
from flows.run.folder import newest_of
from tasks.progress import standings

_EVERY = 0.3  # seconds between two updates


@contextmanager
def followed(console: Console, workspace: Path) -> Iterator[Callable[[], None]]:
    """Show the progress of this process's run while the block runs.

    Yields:
        Function that begins to follow the run. Until then there is one line, and no thread, as workers are
        forked meanwhile.
    """
    columns = (
        TextColumn("{task.fields[mark]} {task.description}", table_column=Column(no_wrap=True, min_width=20)),
        BarColumn(bar_width=None, table_column=Column(min_width=8, max_width=20, ratio=1)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[note]}", style="dim", table_column=Column(ratio=3, overflow="fold")),
    )
    stop = threading.Event()
    with Progress(*columns, console=console, expand=True, auto_refresh=False) as bars:
        starting = bars.add_task("starting", total=None, mark=" ", note="Prefect and MLflow")
        bars.refresh()
        thread = threading.Thread(target=_follow, args=(bars, starting, workspace, stop), daemon=True)
        try:
            yield thread.start
        finally:
            stop.set()
            if thread.ident is not None:
                thread.join()


def _follow(bars: Progress, starting: TaskID, workspace: Path, stop: threading.Event) -> None:
    tasks: dict[str, TaskID] = {}
    run: Path | None = None
    over = False
    while not over:
        over = stop.wait(_EVERY)
        run = run or newest_of(workspace, os.getpid())
        for standing in standings(run) if run else []:
            bars.update(starting, visible=False)
            if standing.step not in tasks:
                tasks[standing.step] = bars.add_task(plain(standing.step), mark=" ", note="")
            task = tasks[standing.step]
            note = plain(standing.note)
            bars.update(task, total=standing.total, completed=standing.done, note=note)
            if standing.finished:
                bars.update(task, mark="[green]✓[/]")
                bars.stop_task(task)
        bars.refresh()
