"""Rows of a table as a model takes them: the one reader for scoring, monitoring and search.

Cells become what training made of its own, and media files are opened and checked in the same way.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from components.config.data import DataConfig, Format
from components.config.inputs import AudioInput, ImageInput, InputConfig, TextInput
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
from components.data.files.media import MediaFacts, inspect, is_absent, unfit
from components.data.files.media_index import look
from components.data.limits import OversizeCell
from components.data.quarantine import Fault
from components.data.sources.manifest import Batch, Manifest
from components.data.sources.readers import open_manifest
from components.data.values import is_null, read_media
from components.errors import DataError

LOOKERS = 8  # threads that open media files


def open_table(source: str, format: Format = "auto") -> Manifest:
    """Open a table, without a look at its rows.

    Args:
        source: Path or URL.
        format: Format of the file; ``auto`` goes by its name.

    Raises:
        DataError: If nothing is found there, or it cannot be read.
    """
    try:
        data = DataConfig(source=source, format=format)
        return open_manifest(data, Path.cwd(), Path.cwd())
    except DataError as error:  # as the readers name options of the pipeline file
        text = str(error).replace("data.source", "manifest").replace("data.format:", "--format")
        text = text.replace("data.encoding: ", "")
        raise DataError(text) from error


def model_columns(
    manifest: Manifest, inputs: Mapping[str, InputConfig]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide the columns of a model into those that a table has, and those that it lacks.

    Raises:
        DataError: If it has none of them.
    """
    known = manifest.columns
    wanted = list(dict.fromkeys(column for section in inputs.values() for column in section.columns))
    present = tuple(column for column in wanted if column in known)
    if not present:
        raise DataError(
            f"{manifest.name}: has none of the model's columns {', '.join(wanted)} (has: {', '.join(known)})"
        )
    return present, tuple(column for column in wanted if column not in known)


def chunked(manifest: Manifest, columns: Sequence[str], size: int) -> Iterator[tuple[int, Batch]]:
    """Give ``size`` rows at a time with the number of the first, however the reader batches them."""
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


def usable_rows(
    manifest: Manifest,
    inputs: Mapping[str, InputConfig],
    batch: Batch,
    numbers: Sequence[int],
    ids: Sequence[str],
    pool: ThreadPoolExecutor,
) -> tuple[pd.DataFrame, list[Fault]]:
    """Give N rows as the model takes them, and what of them cannot be used; media files are opened.

    Args:
        batch: Cells of the rows by column, as far as the table has the columns.
        numbers: (N,) numbers of the rows in the table.
        pool: Opens files.

    Returns:
        N rows with the model's columns; media as absolute path, URL or bytes. And the faults.
    """
    columns: dict[str, list[Any]] = {}
    faults: list[Fault] = []
    for name, section in inputs.items():
        known = [column for column in section.columns if column in batch]
        unreadable: dict[int, tuple[str | None, str]] = {}
        for column in known:
            columns[column] = []
            for position, (row, cell) in enumerate(zip(numbers, batch[column], strict=True)):
                try:
                    columns[column].append(_cell(cell, section, manifest, column, row))
                except UnusableCellError as error:
                    columns[column].append(None)
                    unreadable[position] = (None, str(error))
        wrong = {**_media_faults(section, columns, known, pool), **unreadable}
        for position, row in enumerate(numbers):
            if position in wrong:
                path, reason = wrong[position]
            elif section.required and not any(columns[column][position] is not None for column in known):
                path, reason = None, "missing, but required"
            else:
                continue
            faults.append(Fault(ids[position], name, path, reason, row))
    table = pd.DataFrame({column: pd.Series(cells, dtype=object) for column, cells in columns.items()})
    return table, faults


def text_cell(
    cell: Any,
    name: str,
    column: str,
    row: int,
    read: Callable[[Any], str | None] = word_of,
) -> str | None:
    """Read an id or a target as text, by ``read``; None for an empty cell.

    Raises:
        DataError: If it is neither text nor a number, with table ``name``, column and row.
    """
    try:
        return read(cell)
    except (TypeError, NotUnicodeError) as error:
        raise unusable(error, name, column, row, "text or a number") from error


def _cell(cell: Any, section: InputConfig, manifest: Manifest, column: str, row: int) -> Any:
    """Make of a cell what training makes of it; media as absolute path, URL or bytes.

    Raises:
        UnusableCellError: If it holds a lone surrogate, or names a file outside of the table's folder.
    """
    if isinstance(cell, OversizeCell):
        raise UnusableCellError(str(cell))
    if isinstance(section, ImageInput | AudioInput):
        return _media(cell, manifest)
    try:
        # A number stays one: the rule of a column reads text alone.
        text = text_of(cell) if isinstance(section, TextInput) else word_of(cell)
        return text if text is None or isinstance(cell, str) or isinstance(section, TextInput) else cell
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
        return allowed(manifest.root, cell, manifest.roots)
    try:
        value = read_media(cell.strip())
    except ValueError:  # a data: URL that is not base64: the model says so
        return cell
    return value if isinstance(value, bytes) else allowed(manifest.root, cell.strip(), manifest.roots)


def _media_faults(
    section: InputConfig, columns: dict[str, list[Any]], known: Sequence[str], pool: ThreadPoolExecutor
) -> dict[int, tuple[str | None, str]]:
    """Find unusable files as training does: path and reason by row; empty cells of meaningless silence."""
    wrong: dict[int, tuple[str | None, str]] = {}
    if not isinstance(section, ImageInput | AudioInput):
        return wrong
    for column in known:
        cells = columns[column]
        facts = pool.map(lambda cell: _look(cell, section.modality), cells)
        for row, (cell, fact) in enumerate(zip(cells, facts, strict=True)):
            if fact is None:
                continue
            path = cell if isinstance(cell, str) else None
            if is_absent(section, fact):
                cells[row] = None
            elif (reason := unfit(section, fact)) is not None:
                wrong.setdefault(row, (path, reason))
    return wrong


def _look(cell: Any, modality: str) -> MediaFacts | None:
    """Look at a media cell; None for a cell that is empty or neither path nor bytes."""
    if isinstance(cell, str):
        return look((cell, modality))[1]
    if isinstance(cell, bytes | bytearray | memoryview):
        return inspect(bytes(cell), modality)
    return None
