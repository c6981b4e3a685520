"""The rows of a table to be scored: counted and checked once, then handed over a chunk at a time."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from components.config.inputs import InputConfig
from components.config.score import ScoreConfig
from components.data.cells import NotUnicodeError, unusable, word_of
from components.data.quarantine import Fault
from components.data.rows import LOOKERS, chunked, model_columns, open_table, usable_rows
from components.data.sources.manifest import Batch, Manifest
from components.errors import DataError, nearest

_SHOWN = 5


@dataclass(frozen=True)
class Rows:
    """A table that has been checked.

    Attributes:
        manifest: The table.
        inputs: Of the model, by name.
        id: Column with ids; None where rows are numbered.
        total: Rows.
        absent: Columns of the model that the table lacks: missing in every row.
    """

    manifest: Manifest
    inputs: Mapping[str, InputConfig]
    id: str | None
    total: int
    absent: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """Columns that are read."""
        named = [column for section in self.inputs.values() for column in section.columns]
        there = [column for column in named if column in self.manifest.columns]
        return list(dict.fromkeys([*([self.id] if self.id else []), *there]))


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows, as the model takes them.

    Attributes:
        first: Number of the first row.
        ids: (N,).
        table: N rows with the model's columns; media as absolute path, URL or bytes.
        faults: Inputs that cannot be used, and why; by row.
    """

    first: int
    ids: list[str]
    table: pd.DataFrame
    faults: list[Fault]


def open_rows(config: ScoreConfig, inputs: Mapping[str, InputConfig]) -> Rows:
    """Open the table and read its ids once.

    Args:
        config: Names the table.
        inputs: Of the model.

    Raises:
        DataError: If it cannot be read, has no rows, no id column of that name, none of the model's columns,
            or an id that is empty or stands twice.
    """
    manifest = open_table(config.manifest, config.format)
    known = manifest.columns
    if config.id is not None and config.id not in known:
        raise DataError(
            f"--id {config.id}: not a column of {manifest.name} (has: {', '.join(known)})."
            f"{nearest(config.id, known)}"
        )
    id = config.id or ("id" if "id" in known else None)
    there, absent = model_columns(manifest, inputs)
    total = _count(manifest, id or there[0], named=id is not None)
    return Rows(manifest, inputs, id, total, absent)


def read_chunks(rows: Rows, size: int, needed: Callable[[int], bool]) -> Iterator[Chunk]:
    """The rows in order, ``size`` at a time; media files are opened and judged as in training.

    Args:
        rows: What to read.
        size: Rows of a chunk; at most so many, and a batch of the reader, are held.
        needed: Whether a chunk that starts at this row is wanted; the others are passed over.

    Raises:
        DataError: If a cell holds what its input cannot be, as in training.
    """
    with ThreadPoolExecutor(LOOKERS) as pool:
        for first, batch in chunked(rows.manifest, rows.columns, size):
            if needed(first):
                yield _chunk(rows, first, batch, pool)


def _count(manifest: Manifest, column: str, named: bool) -> int:
    """Rows of the table. Ids are compared by 8 bytes of their digest, and where those agree by themselves."""
    seen, empty = array("Q"), []
    for batch in manifest.batches([column]):
        for cell in batch[column]:
            if named and (word := _word(cell, manifest.name, column, len(seen))) is None:
                empty.append(len(seen))
            seen.append(_short(word) if named and word is not None else len(seen))
    if not seen:
        raise DataError(f"{manifest.name}: has columns but no rows")
    if empty:
        shown = ", ".join(map(str, empty[:_SHOWN])) + (", ..." if len(empty) > _SHOWN else "")
        raise DataError(
            f"{manifest.name}: column {column!r} is empty in {len(empty)} rows: {shown} (the first row is "
            "0). A row needs an id: fill it in, or name another column with --id"
        )
    if named:
        _check_unique(manifest, column, seen)
    return len(seen)


def _check_unique(manifest: Manifest, column: str, seen: array[int]) -> None:
    values, counts = np.unique(np.frombuffer(seen, np.uint64), return_counts=True)
    suspects = set(values[counts > 1].tolist())
    if not suspects:
        return
    places: dict[str, list[int]] = {}
    row = 0
    for batch in manifest.batches([column]):
        for cell in batch[column]:
            if seen[row] in suspects:
                places.setdefault(str(word_of(cell)), []).append(row)
            row += 1
    twice = {id: rows for id, rows in places.items() if len(rows) > 1}
    if twice:
        shown = "; ".join(
            f"{id!r} in rows {', '.join(map(str, rows[:_SHOWN]))}"
            for id, rows in list(twice.items())[:_SHOWN]
        )
        more = f" and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""
        raise DataError(
            f"{manifest.name}: {len(twice)} ids stand more than once: {shown}{more} (the first row is 0). "
            "Make them unique, or name another column with --id"
        )


def _short(id: str) -> int:
    data = id.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _word(cell: Any, name: str, column: str, row: int) -> str | None:
    try:
        return word_of(cell)
    except (TypeError, NotUnicodeError) as error:
        raise unusable(error, name, column, row, "text or a number") from error


def _chunk(rows: Rows, first: int, batch: Batch, pool: ThreadPoolExecutor) -> Chunk:
    size = len(next(iter(batch.values())))
    numbers = range(first, first + size)
    ids = [str(word_of(cell)) for cell in batch[rows.id]] if rows.id else list(map(str, numbers))
    table, faults = usable_rows(rows.manifest, rows.inputs, batch, numbers, ids, pool)
    return Chunk(first, ids, table, faults)
