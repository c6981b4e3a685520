"""The manifest as readers hand it over: column names at once, rows in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Batch = dict[str, list[Any]]
"""Cells of some rows: a list for each column, all of one length."""


@dataclass(frozen=True)
class Manifest:
    """A table that has been opened.

    Attributes:
        name: What messages call it.
        source: Path, URL or hub id it was read from.
        root: Folder or URL that relative media paths start from.
        columns: Names of all columns.
        batches: Gives the rows of chosen columns, a bounded number at a time, in the source's order.
        numbered: Whether rows are numbered where there is no ``id`` column.
        own_split: Column that says which split a row is in although the user named none (folders
            named train, val, test; splits of a Hugging Face dataset); None if there is none.
        roots: Further folders in which its media may lie: where a library has put what it fetched.
    """

    name: str
    source: str
    root: str
    columns: tuple[str, ...]
    batches: Callable[[Sequence[str]], Iterator[Batch]]
    numbered: bool = False
    own_split: str | None = None
    roots: tuple[str, ...] = ()
