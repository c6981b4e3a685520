"""What the inputs of each row hold: columns ``NAME.*`` of the samples table, some thousand rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.config.inputs import AudioInput, ImageInput, InputConfig, TabularInput, TextInput
from components.config.pipeline import PipelineConfig
from components.data.cells import media_of, text_of, word_of
from components.data.files.location import is_url
from components.data.files.media_columns import media_columns
from components.data.files.media_index import Media, MediaIndex
from components.data.keys import convert
from components.data.quarantine import Quarantine
from components.data.sources.manifest import Manifest
from components.storage.column import Column
from components.storage.digest import digest, digest_json

Cells = list[str | None]
Raw = dict[str, dict[str, Cells]]
"""Cells by input and column."""
Unreadable = list[tuple[int, str, str]]
"""Row, input and reason of each cell that is not text."""
_ROWS = 4096


def content_schema(config: PipelineConfig) -> pa.Schema:
    """Columns of the inputs in the samples table."""
    names = []
    for name, section in config.inputs.items():
        names.append(f"{name}.digest")
        match section:
            case ImageInput() | AudioInput():
                names.append(f"{name}.path")
            case TextInput():
                names.append(f"{name}.text")
            case TabularInput():
                names += [f"{name}.{column}" for column in section.columns]
    return pa.schema([(name, pa.string()) for name in names])


def read_contents(
    config: PipelineConfig, manifest: Manifest, ids: Column, folder: Path, base: Path, quarantine: Quarantine
) -> Iterator[pa.RecordBatch]:
    """Read and judge the inputs of all rows, in their order; no more of them are held at once.

    Args:
        config: The pipeline.
        manifest: Where to read.
        ids: Of its rows.
        folder: Of the index of media files, and of embedded media, which are replaced by their path.
        base: Folder of the pipeline file, which ``data.roots`` are relative to.
        quarantine: Takes what is wrong.

    Yields:
        Rows of :func:`content_schema`, the unusable ones among them.
    """
    schema = content_schema(config)
    row = 0
    with MediaIndex(folder / "media-index.sqlite") as index:
        for raw, unreadable in _read(config, manifest, folder / "media", base):
            columns = _judged(config, raw, unreadable, row, ids, index, quarantine)
            batch = pa.record_batch(
                [pa.array(columns[name], pa.string()) for name in schema.names], schema=schema
            )
            yield batch
            row += batch.num_rows


def _read(
    config: PipelineConfig, manifest: Manifest, media: Path, base: Path
) -> Iterator[tuple[Raw, Unreadable]]:
    """Cells of all inputs as text. The source's batches, which may be of one row, are put together."""
    wanted = list(dict.fromkeys(column for section in config.inputs.values() for column in section.columns))
    roots = [str((base / root).resolve()) if not is_url(root) else root for root in config.data.roots]
    roots = [*manifest.roots, *roots]
    kinds = {
        name: _converter(section, manifest.root, media, roots) for name, section in config.inputs.items()
    }
    count = 0

    def empty() -> Raw:
        return {name: {column: [] for column in section.columns} for name, section in config.inputs.items()}

    raw, held = empty(), 0
    unreadable: Unreadable = []
    for batch in manifest.batches(wanted):
        for name, (to_text, kind) in kinds.items():
            for column, cells in raw[name].items():
                made, bad = convert(batch[column], to_text, manifest.name, column, count, kind)
                cells += made
                unreadable += [(row, name, reason) for row, reason in bad]
        rows = len(batch[wanted[0]])
        count, held = count + rows, held + rows
        if held >= _ROWS:
            yield raw, unreadable
            raw, held, unreadable = empty(), 0, []
    if held:
        yield raw, unreadable


def _converter(
    section: InputConfig, root: str, media: Path, roots: Sequence[str]
) -> tuple[Callable[[Any], str | None], str]:
    match section:
        case ImageInput() | AudioInput():
            return lambda value: media_of(value, root, media, roots), "a path, or the bytes of a file"
        case TextInput():
            return text_of, "text"
        case TabularInput():
            return word_of, "text, a number, a date or true/false"


def _judged(
    config: PipelineConfig,
    raw: Raw,
    unreadable: Unreadable,
    first: int,
    ids: Column,
    index: MediaIndex,
    quarantine: Quarantine,
) -> dict[str, Cells]:
    """Columns ``NAME.*`` of some rows, of which ``first`` is the first; what is wrong goes to quarantine."""
    files: list[Media] = []
    for name, section in config.inputs.items():
        if isinstance(section, ImageInput | AudioInput):
            paths = (path for cells in raw[name].values() for path in cells)
            files += [(path, section.modality) for path in paths if path is not None]
    facts = index.look(files)
    columns: dict[str, Cells] = {}
    faulty: set[tuple[int, str]] = set()
    for at, name, reason in unreadable:
        quarantine.add(str(ids[at]), name, None, reason, at)
        faulty.add((at - first, name))
    for name, section in config.inputs.items():
        cells = raw[name]
        match section:
            case ImageInput() | AudioInput():
                made, faults = media_columns(section, cells, facts, config.data.allow_missing_files)
                for row, path, reason in faults:
                    quarantine.add(str(ids[first + row]), name, path, reason, first + row)
                    faulty.add((row, name))
            case TextInput():
                made = _text(cells)
            case TabularInput():
                made = _table(cells)
        columns |= {f"{name}.{column}": values for column, values in made.items()}
    present = [columns[f"{name}.digest"] for name in config.inputs]
    for row, digests in enumerate(zip(*present, strict=True)):
        if None not in digests:
            continue
        missing = [name for name, found in zip(config.inputs, digests, strict=True) if found is None]
        faults_here = [name for name in missing if (row, name) in faulty]
        for name in missing:
            if config.inputs[name].required and name not in faults_here:
                quarantine.add(str(ids[first + row]), name, None, "missing, but required", first + row)
        if len(missing) == len(config.inputs) and not faults_here:
            reason = "no input at all (every input is missing)"
            quarantine.add(str(ids[first + row]), "row", None, reason, first + row)
    return columns


def _text(cells: Mapping[str, Cells]) -> dict[str, Cells]:
    """Columns ``digest`` and ``text``."""
    joined = ["\n".join(filter(None, row)) or None for row in zip(*cells.values(), strict=True)]
    return {"digest": [digest(text) if text is not None else None for text in joined], "text": list(joined)}


def _table(cells: Mapping[str, Cells]) -> dict[str, Cells]:
    """Column ``digest`` and the configured ones."""
    rows = zip(*cells.values(), strict=True)
    digests = [digest_json(dict(zip(cells, row, strict=True))) if any(row) else None for row in rows]
    return {"digest": list(digests), **cells}
