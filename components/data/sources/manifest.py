"""Manifest, the result of every reader: names of the columns at once, rows in batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
    """

    name: str
    source: str
    root: str
    columns: tuple[str, ...]
    batches: Callable[[Sequence[str]], Iterator[Batch]]
    numbered: bool = False
    own_split: str | None = None
    roots: tuple[str, ...] = ()
