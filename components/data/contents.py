"""Contents of the inputs of all rows: the columns ``NAME.*`` of the samples table, read in chunks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.config.inputs import AudioInput, ImageInput, InputConfig, TabularInput, TextInput
from components.config.pipeline import PipelineConfig
from components.data.cells import cells_as_text, media_of
from components.data.files.location import is_url
from components.data.files.media_columns import FACTS, media_columns
from components.data.files.media_index import Media, MediaIndex
from components.data.quarantine import Quarantine
from components.data.sources.manifest import Manifest
from components.data.spelling import Spelling
from components.storage.column import Column
from components.storage.digest import digest, digest_json, short_digest

Cells = list[str | None]
InputCells = dict[str, dict[str, Cells]]
"""Cells by input and column."""
Unreadable = list[tuple[int, str, str]]
"""Row, input and reason of each cell that cannot be read as text."""
_ROWS = 4096  # per chunk


def content_schema(config: PipelineConfig) -> pa.Schema:
    """Return the schema of the inputs' columns in the samples table; every column is text."""
    names = []
    for name, section in config.inputs.items():
        names.append(f"{name}.digest")
        match section:
            case ImageInput() | AudioInput():
                names += [f"{name}.{column}" for column in ("path", *FACTS[section.modality])]
            case TextInput():
                names.append(f"{name}.text")
            case TabularInput():
                names += [f"{name}.{column}" for column in section.columns]
    return pa.schema([(name, pa.string()) for name in names])


def read_contents(
    config: PipelineConfig,
    manifest: Manifest,
    ids: Column,
    spellings: Mapping[str, Spelling],
    folder: Path,
    base: Path,
    quarantine: Quarantine,
) -> Iterator[pa.RecordBatch]:
    """Read and check the inputs of all rows in the manifest's order; one chunk is in memory at a time.

    Args:
        config: Pipeline configuration.
        manifest: Table that names the contents.
        ids: Id of each row of the manifest.
        spellings: Rule of each column of text or tables.
        folder: Work folder: the index of media files is stored here, and media embedded in the manifest.
        base: Folder of the pipeline file; relative ``data.roots`` start here.
        quarantine: Collection that receives each fault.

    Yields:
        Rows with the columns of :func:`content_schema`; unusable rows are included.
    """
    schema = content_schema(config)
    first = 0
    with MediaIndex(folder / "media-index.sqlite") as index:
        for cells, unreadable in _read_chunks(config, manifest, spellings, folder / "media", base):
            columns = _check_chunk(config, cells, unreadable, first, ids, index, quarantine)
            batch = pa.record_batch(
                [pa.array(columns[name], pa.string()) for name in schema.names], schema=schema
            )
            yield batch
            first += batch.num_rows


def _read_chunks(
    config: PipelineConfig, manifest: Manifest, spellings: Mapping[str, Spelling], media: Path, base: Path
) -> Iterator[tuple[InputCells, Unreadable]]:
    """Read the cells of all inputs as text; the source's batches are joined, as some hold a single row."""
    columns = list(dict.fromkeys(column for section in config.inputs.values() for column in section.columns))
    roots = [str((base / root).resolve()) if not is_url(root) else root for root in config.data.roots]
    roots = [*manifest.roots, *roots]

    def to_media(value: Any) -> str | None:
        return media_of(value, manifest.root, media, roots)

    converters = {
        (name, column): _converter(section, to_media, spellings.get(column, Spelling()))
        for name, section in config.inputs.items()
        for column in section.columns
    }

    def empty_chunk() -> InputCells:
        return {name: {column: [] for column in section.columns} for name, section in config.inputs.items()}

    row = rows_in_chunk = 0
    chunk = empty_chunk()
    unreadable: Unreadable = []
    for batch in manifest.batches(columns):
        for (name, column), (to_text, kind) in converters.items():
            texts, faults = cells_as_text(batch[column], to_text, manifest.name, column, row, kind)
            chunk[name][column] += texts
            # Of several columns the reason names the one at fault.
            prefix = f"column {column!r}: " if isinstance(config.inputs[name], TabularInput) else ""
            unreadable += [(at, name, f"{prefix}{reason}") for at, reason in faults]
        rows = len(batch[columns[0]])
        row, rows_in_chunk = row + rows, rows_in_chunk + rows
        if rows_in_chunk >= _ROWS:
            yield chunk, unreadable
            chunk, rows_in_chunk, unreadable = empty_chunk(), 0, []
    if rows_in_chunk:
        yield chunk, unreadable


def _converter(
    section: InputConfig, to_media: Callable[[Any], str | None], spelling: Spelling
) -> tuple[Callable[[Any], str | None], str]:
    """Return the function that makes text of a column's cell, and the expected kind of cell for messages."""
    match section:
        case ImageInput() | AudioInput():
            return (
                lambda value: None if spelling.is_empty(value) else to_media(value)
            ), "a path, or the bytes of a file"
        case TextInput():
            return spelling.text, "text"
        case TabularInput():
            return spelling.name, "text, a number, a date or true/false"


def _check_chunk(
    config: PipelineConfig,
    chunk: InputCells,
    unreadable: Unreadable,
    first: int,
    ids: Column,
    index: MediaIndex,
    quarantine: Quarantine,
) -> dict[str, Cells]:
    """Return the columns ``NAME.*`` of a chunk whose first row is row ``first`` of the manifest."""
    files: list[Media] = []
    for name, section in config.inputs.items():
        if isinstance(section, ImageInput | AudioInput):
            paths = (path for cells in chunk[name].values() for path in cells)
            files += [(path, section.modality) for path in paths if path is not None]
    facts = index.inspect(files)

    def add_fault(row: int, source: str, path: str | None, reason: str) -> None:
        quarantine.add(str(ids[first + row]), source, path, reason, first + row)

    columns: dict[str, Cells] = {}
    faulty: set[tuple[int, str]] = set()
    for row, name, reason in unreadable:
        add_fault(row - first, name, None, reason)
        faulty.add((row - first, name))
    for name, section in config.inputs.items():
        match section:
            case ImageInput() | AudioInput():
                parts, faults = media_columns(section, chunk[name], facts, config.data.allow_missing_files)
                for row, path, reason in faults:
                    add_fault(row, name, path, reason)
                    faulty.add((row, name))
            case TextInput():
                parts = _text_columns(chunk[name])
            case TabularInput():
                parts = _tabular_columns(chunk[name])
        columns |= {f"{name}.{column}": cells for column, cells in parts.items()}

    # A faulty cell already has its own reason: that it is missing too would be said twice.
    for row, digests in enumerate(zip(*(columns[f"{name}.digest"] for name in config.inputs), strict=True)):
        if None not in digests:
            continue
        missing = [name for name, key in zip(config.inputs, digests, strict=True) if key is None]
        without_fault = [name for name in missing if (row, name) not in faulty]
        for name in without_fault:
            if config.inputs[name].required:
                add_fault(row, name, None, "missing, but required")
        if without_fault == list(config.inputs):
            add_fault(row, "row", None, "no input at all (every input is missing)")
    return columns


def content_keys(digests: Iterable[Iterable[str | None]]) -> Iterator[int]:
    """Name rows by their contents, whatever the inputs are called.

    Args:
        digests: Digests of each row's inputs, None where one is missing.
    """
    for row in digests:
        yield short_digest(" ".join(sorted(cell for cell in row if isinstance(cell, str))))


def _text_columns(cells: Mapping[str, Cells]) -> dict[str, Cells]:
    """Return the columns ``digest`` and ``text``; the texts of several columns are joined by lines."""
    texts = ["\n".join(filter(None, row)) or None for row in zip(*cells.values(), strict=True)]
    return {"digest": [digest(text) if text is not None else None for text in texts], "text": list(texts)}


def _tabular_columns(cells: Mapping[str, Cells]) -> dict[str, Cells]:
    """Return the column ``digest`` beside the configured columns."""
    rows = zip(*cells.values(), strict=True)
    digests = [digest_json(dict(zip(cells, row, strict=True))) if any(row) else None for row in rows]
    return {"digest": list(digests), **cells}
