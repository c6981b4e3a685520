"""Results in the terminal: tables, findings, and where to look next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table as RichTable

from components.results.protocol import Result
from components.results.table import Table

_LABEL = 14  # letters of the longest label and what parts it from its value


def plain(value: object) -> str:
    """Text on its way to the terminal, without markup; all data passes here."""
    return escape(str(value))


def print_result(
    console: Console,
    result: Result,
    more: Iterable[str] = (),
    compact: bool = False,
    places: Mapping[str, object] | None = None,
) -> None:
    """Print the first table of a result, its findings and where to look next.

    Args:
        console: The terminal.
        result: Outcome of a command.
        more: Findings besides those of the result.
        compact: Draw the table narrow, without lines between columns.
        places: Addresses and names by label.
    """
    for table in list(result.tables().values())[:1]:
        print_table(console, table, compact=compact)
    print_findings(console, [f"{result.headline}.", *result.findings, *more])
    print_places(console, places or {})


def print_table(console: Console, table: Table, title: str = "", compact: bool = False) -> None:
    """Print those columns of a table for which a terminal has room.

    Args:
        console: The terminal.
        table: Any.
        title: Begins the title of the table.
        compact: Draw it narrow, without lines between columns.
    """
    drawn = RichTable(title=plain(": ".join(filter(None, (title, table.title)))) or None, box=HEAVY_HEAD)
    if compact:
        drawn.box, drawn.padding, drawn.pad_edge = SIMPLE_HEAD, (0, 1, 0, 0), False
    shown = [position for position, column in enumerate(table.columns) if column.brief]
    for position in shown:
        column = table.columns[position]
        drawn.add_column(
            plain(column.brief),
            justify="right" if column.numeric else "left",
            no_wrap=column.numeric,
            overflow="ellipsis" if column.numeric else "fold",
        )
    for row, texts in enumerate(table.texts()):
        style = ("bold red" if table.alarm else "bold") if row in table.marked else ""
        drawn.add_row(*(plain(texts[position]) for position in shown), style=style)
    console.print(drawn)


def print_findings(console: Console, findings: Iterable[str]) -> None:
    """Print sentences in a frame."""
    console.print(Panel("\n".join(map(plain, findings)), title="Findings", title_align="left"))


def print_places(console: Console, places: Mapping[str, object]) -> None:
    """Print where things are, one per line."""
    lines = [f"{label:<{_LABEL}}{address}" for label, address in places.items()]
    if lines:
        console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)
