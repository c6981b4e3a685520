"""Rows of a table to score: counted and checked once, then read in chunks."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from components.config import InputConfig
from components.config.score import ScoreConfig
from components.data.cells import word_of
from components.data.forms import other_forms
from components.data.quarantine import Fault
from components.data.rows import LOOKERS, chunked, model_columns, open_table, text_cell, usable_rows
from components.data.sources.manifest import Batch, Manifest
from components.data.spelling import Spelling, SpellingGuess
from components.errors import DataError, nearest
from components.storage.digest import short_digest

_SHOWN = 5


@dataclass(frozen=True)
class Rows:
    """Checked table.

    Attributes:
        manifest: The table.
        inputs: Inputs of the model by name.
        id: Column with ids; None where rows are numbered.
        spelling: Rule by which ids are spelled, as training spells them.
        total: Number of rows.
        absent: Columns of the model that the table lacks, so every row misses them.
        forms: Sentences on numbers and dates of other forms than training had.
    """

    manifest: Manifest
    inputs: Mapping[str, InputConfig]
    id: str | None
    spelling: Spelling
    total: int
    absent: tuple[str, ...]
    forms: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """Columns to read."""
        named = [column for section in self.inputs.values() for column in section.columns]
        present = [column for column in named if column in self.manifest.columns]
        return list(dict.fromkeys([*([self.id] if self.id else []), *present]))


@dataclass(frozen=True)
class Chunk:
    """Some consecutive rows, as the model takes them.

    Attributes:
        first: Number of the first row.
        ids: (N,) ids of the rows.
        table: N rows with the model's columns; media as absolute path, URL or bytes.
        faults: Unusable inputs, with reasons, by row.
    """

    first: int
    ids: list[str]
    table: pd.DataFrame
    faults: list[Fault]


def open_rows(
    config: ScoreConfig, inputs: Mapping[str, InputConfig], spellings: Mapping[str, Spelling]
) -> Rows:
    """Open the table and read its ids once.

    Args:
        config: Configuration with the table.
        spellings: Rule of each column of the model.

    Raises:
        DataError: If the table cannot be read, or has no rows, no id column of that name, or none of the
            model's columns; or if an id is empty or repeated.
    """
    manifest = open_table(config.manifest, config.format)
    known = manifest.columns
    if config.id is not None and config.id not in known:
        raise DataError(
            f"--id {config.id}: not a column of {manifest.name} (has: {', '.join(known)})."
            f"{nearest(config.id, known)}"
        )
    id = config.id or ("id" if "id" in known else None)
    present, absent = model_columns(manifest, inputs)
    total, spelling = _count(manifest, id or present[0], named=id is not None)
    forms = other_forms(manifest, {column: spellings[column] for column in present if column in spellings})
    return Rows(manifest, inputs, id, spelling, total, absent, forms)


def read_chunks(rows: Rows, size: int, needed: Callable[[int], bool]) -> Iterator[Chunk]:
    """Read the rows in order, ``size`` at a time; media files are opened and checked as in training.

    Args:
        size: Rows per chunk; one chunk and one batch of the reader are held at most.
        needed: Test of a chunk by its first row; the others are skipped.

    Raises:
        DataError: If a cell holds what its input cannot be, as in training.
    """
    with ThreadPoolExecutor(LOOKERS) as pool:
        for first, batch in chunked(rows.manifest, rows.columns, size):
            if needed(first):
                yield _chunk(rows, first, batch, pool)


def _count(manifest: Manifest, column: str, named: bool) -> tuple[int, Spelling]:
    """Count the rows, and find the spelling of their ids.

    Ids are compared by 8 bytes of their digests, and in full where those agree.
    """
    seen, empty, guess = array("Q"), [], SpellingGuess()
    for batch in manifest.batches([column]):
        guess.add(batch[column] if named else ())
        for cell in batch[column]:
            if named and (word := text_cell(cell, manifest.name, column, len(seen))) is None:
                empty.append(len(seen))
            seen.append(short_digest(word) if named and word is not None else len(seen))
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
    spelling = replace(guess.spelling, empty=frozenset())  # an id may be NA
    merges = spelling.kind in ("number", "boolean") and not _keeps_apart(spelling, manifest, column)
    return len(seen), replace(spelling, kind="word") if merges else spelling


def _keeps_apart(spelling: Spelling, manifest: Manifest, column: str) -> bool:
    """Return True if different ids have different names; 1.1 and 1.10 may be two chapters."""
    names = array("Q")
    for batch in manifest.batches([column]):
        names.extend(short_digest(str(spelling.name(cell))) for cell in batch[column])
    return len(np.unique(np.frombuffer(names, np.uint64))) == len(names)


def _check_unique(manifest: Manifest, column: str, seen: array[int]) -> None:
    values, counts = np.unique(np.frombuffer(seen, np.uint64), return_counts=True)
    suspects = set(values[counts > 1].tolist())
    if not suspects:
        return
    rows_of: dict[str, list[int]] = {}
    row = 0
    for batch in manifest.batches([column]):
        for cell in batch[column]:
            if seen[row] in suspects:
                rows_of.setdefault(str(word_of(cell)), []).append(row)
            row += 1
    twice = {id: rows for id, rows in rows_of.items() if len(rows) > 1}
    if twice:
        shown = "; ".join(
            f"{id!r} in rows {', '.join(map(str, rows[:_SHOWN]))}"
            for id, rows in list(twice.items())[:_SHOWN]
        )
        more = f" and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""
        raise DataError(
            f"{manifest.name}: {len(twice)} ids are repeated: {shown}{more} (the first row is 0). "
            "Make them unique, or name another column with --id"
        )


def _chunk(rows: Rows, first: int, batch: Batch, pool: ThreadPoolExecutor) -> Chunk:
    size = len(next(iter(batch.values())))
    numbers = range(first, first + size)
    ids = [str(rows.spelling.name(cell)) for cell in batch[rows.id]] if rows.id else list(map(str, numbers))
    table, faults = usable_rows(rows.manifest, rows.inputs, batch, numbers, ids, pool)
    return Chunk(first, ids, table, faults)
