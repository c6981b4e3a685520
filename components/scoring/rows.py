"""The rows of a table to be scored: counted and checked once, then handed over a chunk at a time."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from components.config.data import DataConfig, Format
from components.config.inputs import AudioInput, ImageInput, InputConfig, TextInput
from components.config.score import ScoreConfig
from components.data.cells import (
    NotUnicodeError,
    UnusableCellError,
    allowed,
    text_of,
    unusable,
    whole,
    word_of,
)
from components.data.files.location import resolve
from components.data.files.media import MediaFacts, inspect
from components.data.files.media_index import look
from components.data.quarantine import Fault
from components.data.sources.manifest import Batch, Manifest
from components.data.sources.readers import open_manifest
from components.errors import DataError, nearest
from components.inference.cells import is_null, read_media

_SHOWN = 5
_LOOKERS = 8  # threads that open media files


class TableOptions(Protocol):
    """Options that name a table."""

    @property
    def manifest(self) -> str: ...
    @property
    def format(self) -> Format: ...


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
    manifest = open_table(config)
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


def model_columns(
    manifest: Manifest, inputs: Mapping[str, InputConfig]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of a model that a table has, and those that it lacks.

    Raises:
        DataError: If it has none of them.
    """
    known = manifest.columns
    wanted = list(dict.fromkeys(column for section in inputs.values() for column in section.columns))
    there = tuple(column for column in wanted if column in known)
    if not there:
        raise DataError(
            f"{manifest.name}: has none of the model's columns {', '.join(wanted)} (has: {', '.join(known)})"
        )
    return there, tuple(column for column in wanted if column not in known)


def open_table(config: TableOptions) -> Manifest:
    """The table that is named, unread."""
    try:
        data = DataConfig(source=config.manifest, format=config.format)
        return open_manifest(data, Path.cwd(), Path.cwd())
    except DataError as error:  # the readers speak of the pipeline file
        text = str(error).replace("data.source", "manifest").replace("data.format:", "--format")
        raise DataError(text) from error


def read_chunks(rows: Rows, size: int, needed: Callable[[int], bool]) -> Iterator[Chunk]:
    """The rows in order, ``size`` at a time; media files are opened and judged as in training.

    Args:
        rows: What to read.
        size: Rows of a chunk; at most so many, and a batch of the reader, are held.
        needed: Whether a chunk that starts at this row is wanted; the others are passed over.

    Raises:
        DataError: If a cell holds what its input cannot be, as in training.
    """
    with ThreadPoolExecutor(_LOOKERS) as pool:
        for first, batch in chunked(rows.manifest, rows.columns, size):
            if needed(first):
                yield _chunk(rows, first, batch, pool)


def chunked(manifest: Manifest, columns: Sequence[str], size: int) -> Iterator[tuple[int, Batch]]:
    """Cells of ``size`` rows at a time with the number of the first, however the reader batches them."""
    held: Batch = {column: [] for column in columns}
    first = 0
    for batch in manifest.batches(columns):
        for column in columns:
            held[column] += batch[column]
        while len(held[columns[0]]) >= size:
            yield first, {column: cells[:size] for column, cells in held.items()}
            held = {column: cells[size:] for column, cells in held.items()}
            first += size
    if held[columns[0]]:
        yield first, held


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
    table, faults = usable(rows.manifest, rows.inputs, batch, numbers, ids, pool)
    return Chunk(first, ids, table, faults)


def usable(
    manifest: Manifest,
    inputs: Mapping[str, InputConfig],
    batch: Batch,
    numbers: Sequence[int],
    ids: Sequence[str],
    pool: ThreadPoolExecutor,
) -> tuple[pd.DataFrame, list[Fault]]:
    """Cells of N rows as the model takes them, and what cannot be used; media files are opened.

    Args:
        manifest: The table that they are of.
        inputs: Of the model.
        batch: Its columns, as far as the table has them.
        numbers: (N,) of the rows in the table.
        ids: (N,).
        pool: Opens files.
    """
    columns: dict[str, list[Any]] = {}
    faults: list[Fault] = []
    for name, section in inputs.items():
        there = [column for column in section.columns if column in batch]
        unreadable: dict[int, tuple[str | None, str]] = {}
        for column in there:
            columns[column] = []
            for place, (row, cell) in enumerate(zip(numbers, batch[column], strict=True)):
                try:
                    columns[column].append(_cell(cell, section, manifest, column, row))
                except UnusableCellError as error:
                    columns[column].append(None)
                    unreadable[place] = (None, str(error))
        wrong = {**_media_faults(section, columns, there, pool), **unreadable}
        for place, row in enumerate(numbers):
            if place in wrong:
                path, reason = wrong[place]
            elif section.required and not any(columns[column][place] is not None for column in there):
                path, reason = None, "missing, but required"
            else:
                continue
            faults.append(Fault(ids[place], name, path, reason, row))
    table = pd.DataFrame({column: pd.Series(cells, dtype=object) for column, cells in columns.items()})
    return table, faults


def _cell(cell: Any, section: InputConfig, manifest: Manifest, column: str, row: int) -> Any:
    """A cell as the model takes it: what training made of it, media as absolute path, URL or bytes.

    Raises:
        UnusableCellError: If it holds a lone surrogate, or names a file outside of the table's folder.
    """
    if isinstance(section, ImageInput | AudioInput):
        return _media(cell, manifest)
    try:
        return text_of(cell) if isinstance(section, TextInput) else word_of(cell)
    except TypeError as error:
        kind = "text" if isinstance(section, TextInput) else "text, a number, a date or true/false"
        raise unusable(error, manifest.name, column, row, kind) from error


def _media(cell: Any, manifest: Manifest) -> Any:
    if isinstance(cell, dict) and cell.keys() & {"bytes", "path"}:
        cell = cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
    if is_null(cell):
        return None
    if not isinstance(cell, str):
        return cell
    path = resolve(manifest.root, whole(cell.strip()))
    if os.path.exists(path):  # noqa: PTH110  (Path.exists raises where base64 text is too long for a name)
        return allowed(manifest.root, cell.strip(), manifest.roots)
    try:
        value = read_media(cell.strip())
    except ValueError:  # a data: URL that is not base64: the model says so
        return cell
    return value if isinstance(value, bytes) else allowed(manifest.root, cell.strip(), manifest.roots)


def _media_faults(
    section: InputConfig, columns: dict[str, list[Any]], there: Sequence[str], pool: ThreadPoolExecutor
) -> dict[int, tuple[str | None, str]]:
    """Path and reason by row, as training judges files. A silent clip that means nothing is emptied here."""
    found: dict[int, tuple[str | None, str]] = {}
    if not isinstance(section, ImageInput | AudioInput):
        return found
    for column in there:
        cells = columns[column]
        facts = pool.map(lambda cell: _look(cell, section.modality), cells)
        for row, (cell, fact) in enumerate(zip(cells, facts, strict=True)):
            if fact is None:
                continue
            path = cell if isinstance(cell, str) else None
            silence = section.silent if isinstance(section, AudioInput) and fact.silent else "keep"
            if fact.reason is not None:
                found.setdefault(row, (path, fact.reason))
            elif silence == "quarantine":
                found.setdefault(row, (path, f"silent throughout (peak {fact.peak:.1g})"))
            elif silence == "missing":
                cells[row] = None
    return found


def _look(cell: Any, modality: str) -> MediaFacts | None:
    """What one look at a media cell found; None for a cell that is empty or neither path nor bytes."""
    if isinstance(cell, str):
        return look((cell, modality))[1]
    if isinstance(cell, bytes | bytearray | memoryview):
        return inspect(bytes(cell), modality)
    return None
