"""Everything that commands print: results as tables, findings and addresses; lines, and JSON."""

from collections.abc import Iterable, Mapping

from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table as RichTable

from components.results.protocol import Result
from components.results.table import Table
from components.results.visible import visible

_LABEL = 14  # letters of the longest label, and the space behind it


def plain(value: object) -> str:
    """Escape markup and what steers a terminal; all data passes here on its way to one."""
    return escape(visible(str(value)))


def say(text: str) -> None:
    """Print a text of one or more lines, or JSON, on standard output at once."""
    print(visible(text, lines=True), flush=True)


def print_text(console: Console, text: str) -> None:
    """Print a text of one or more lines, which is not wrapped."""
    console.print(visible(text, lines=True), markup=False, highlight=False, soft_wrap=True)


def print_result(
    console: Console,
    result: Result,
    more: Iterable[str] = (),
    compact: bool = False,
    places: Mapping[str, object] | None = None,
) -> None:
    """Print the first table of a result, its findings and addresses.

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
    """Print the columns of a table that are brief enough for a terminal.

    Args:
        console: The terminal.
        table: The table.
        title: Beginning of the table's title.
        compact: Draw the table narrow, without lines between columns.
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
    """Print addresses with their labels, one per line."""
    lines = [f"{label:<{_LABEL}}{address}" for label, address in places.items()]
    if lines:
        print_text(console, "\n".join(map(visible, lines)))
