"""Manifest, the result of every reader: names of the columns at once, rows in batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components.data.limits import check_columns_count, first_repeated, shown
from components.errors import DataError

Batch = dict[str, list[Any]]
"""Cells of some rows: a list per column, all of one length."""


@dataclass(frozen=True)
class Manifest:
    """Table of samples, open for reading.

    Attributes:
        name: Name for messages.
        source: Path, URL or hub id that was read.
        root: Folder or URL where relative media paths start.
        columns: Names of all columns.
        batches: Function that reads given columns in the source's order, a bounded number of rows at a time.
        numbered: Takes row numbers as ids where there is no ``id`` column.
        own_split: Column of the split that the source itself has (folders named train, val, test; splits of
            a Hugging Face dataset); None if it has none.
        roots: Further folders in which its media may lie, such as the cache of a library.
        findings: Sentences about what the reader guessed or left out, for people; without full stops.
        decimal: Decimal mark of numbers in text, where these do not tell.
    """

    name: str
    source: str
    root: str
    columns: tuple[str, ...]
    batches: Callable[[Sequence[str]], Iterator[Batch]]
    numbered: bool = False
    own_split: str | None = None
    roots: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    decimal: Literal[".", ","] = "."


def check_header(columns: Sequence[str], name: str) -> tuple[str, ...]:
    """Check the names of a table's columns, as its header gives them, and return them.

    Args:
        columns: Names without surrounding spaces.
        name: Name of the table, for messages.

    Raises:
        DataError: If there is none, one is empty, one is there twice, or there are too many.
    """
    if not columns:
        raise DataError(f"{name}: empty; expected a header line with the names of the columns")
    check_columns_count(len(columns), name)
    listed = shown(columns)
    if "" in columns:
        raise DataError(
            f"{name}: column {list(columns).index('') + 1} of the header has no name ({listed}). Name it."
        )
    if (repeated := first_repeated(columns)) is not None:
        raise DataError(f"{name}: column {repeated!r} is in the header twice ({listed}). Rename one.")
    return tuple(columns)
