"""From ``data.source`` to ``samples.parquet``: read, check, look at every file, split, write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.config.inputs import AudioInput, ImageInput, InputConfig, TabularInput, TextInput
from components.config.pipeline import PipelineConfig
from components.data.cells import UnusableCellError, media_of, text_of, unusable, word_of
from components.data.checks import check_columns, check_keys, check_splits
from components.data.groups import looks_like_group
from components.data.location import is_url
from components.data.manifest import Manifest
from components.data.media_columns import media_columns
from components.data.media_index import Media, MediaIndex
from components.data.quarantine import Quarantine
from components.data.readers import open_manifest
from components.data.splits import SPLITS, assign, normal_split
from components.data.targets import build_targets, strata, unusable_target
from components.errors import DataError
from components.storage.atomic import replacing
from components.storage.digest import digest, digest_json
from components.targets.collection import PREFIX, Targets

Column = list[str | None]
WATCHED = "group."
"""What the names of columns begin with that nothing is learned from, for the audit to look at."""


@dataclass(frozen=True)
class Dataset:
    """A reference to checked data; JSON-serialisable.

    Attributes:
        samples: Path of the samples table.
        quarantine: Path of the table of rows left out.
        digest: Of the samples: ids, contents, splits, targets and groups; not of where files lie.
        source: Path, URL or id that was read.
        rows: Rows of the samples table.
        quarantined: Rows left out.
        targets: What is predicted: classes of the training rows, scale of numbers.
        splits: Rows of each split.
        missing: Rows in which an input is missing, for each input.
    """

    samples: str
    quarantine: str
    digest: str
    source: str
    rows: int
    quarantined: int
    targets: Targets
    splits: dict[str, int]
    missing: dict[str, int]


@dataclass(frozen=True)
class _Rows:
    """The source's rows as text: keys, and for each input its columns.

    ``unreadable``: row, input (or ``row``) and reason of each cell that is not text.
    """

    ids: list[str]
    targets: dict[str, Column]
    groups: Column
    watched: dict[str, Column]
    splits: list[str | None] | None
    inputs: dict[str, dict[str, Column]]
    unreadable: list[tuple[int, str, str]]


def ingest(
    config: PipelineConfig,
    folder: Path,
    base: Path,
    progress: Callable[[int, int], None] | None = None,
    tables: Path | None = None,
) -> Dataset:
    """Read and check the data, and write ``samples.parquet`` and ``quarantine.parquet``.

    A bad row (unusable or missing file, required input missing, no input at all, no label) goes to
    quarantine with the reason. An empty cell is a missing input.

    Args:
        config: The pipeline.
        folder: Where the index of media files, embedded media and the demo data go; runs may share it.
        base: Folder of the pipeline file; a relative ``data.source`` is looked up there, then in the
            working directory.
        progress: Told how many of how many media files have been looked at.
        tables: Where the two tables go; ``folder`` by default.

    Raises:
        DataError: If the source cannot be read, a column is not there, ids are not unique, a split or
            class is empty, or more than ``data.max_bad`` of the rows are bad; the quarantine table is
            written before that.
    """
    folder = folder.absolute()
    tables = folder if tables is None else tables.absolute()
    manifest = open_manifest(config.data, folder, base)
    check_columns(config, manifest)
    rows = _read(config, manifest, folder / "media", base)
    quarantine = Quarantine()
    for row, name, reason in rows.unreadable:
        quarantine.add(rows.ids[row], name, None, reason, row)
    _check_targets(config, rows, quarantine)
    inputs = _inputs(config, rows, folder, quarantine, progress)
    quarantine.write(tables / "quarantine.parquet")
    quarantine.check(
        len(rows.ids), config.data.max_bad, manifest.name, manifest.root, tables / "quarantine.parquet"
    )

    bad = quarantine.rows
    usable = [row for row in range(len(rows.ids)) if row not in bad]
    targets = {name: [cells[row] for row in usable] for name, cells in rows.targets.items()}
    splits = assign(
        [rows.splits[row] for row in usable] if rows.splits is not None else None,
        [rows.ids[row] for row in usable],
        strata(config.target, targets[config.target.column]),
        [rows.groups[row] for row in usable],
        config.data.split,
        config.seed,
    )
    check_splits(splits, manifest.name)
    known = build_targets(config, targets, rows.targets, splits, manifest.name)
    keys: dict[str, Sequence[str | None]] = {
        "id": [rows.ids[row] for row in usable],
        "split": splits,
        **{f"{PREFIX}{name}": cells for name, cells in targets.items()},
        "group": [rows.groups[row] for row in usable],
    }
    watched = {f"{WATCHED}{name}": [cells[row] for row in usable] for name, cells in rows.watched.items()}
    table = {**keys, **watched, **{name: [column[row] for row in usable] for name, column in inputs.items()}}
    _write(table, tables / "samples.parquet")
    contents = [f"{name}.digest" for name in config.inputs]
    counts = Counter(splits)
    return Dataset(
        samples=str(tables / "samples.parquet"),
        quarantine=str(tables / "quarantine.parquet"),
        digest=digest_json({name: table[name] for name in [*keys, *contents]}),
        source=manifest.source,
        rows=len(usable),
        quarantined=len(bad),
        targets=known,
        splits={split: counts[split] for split in SPLITS},
        missing={name: list(table[f"{name}.digest"]).count(None) for name in config.inputs},
    )


def _read(config: PipelineConfig, manifest: Manifest, media: Path, base: Path) -> _Rows:
    """All cells that are needed; embedded media are written to ``media`` and replaced by their path."""
    data = config.data
    roots = [str((base / root).resolve()) if not is_url(root) else root for root in data.roots]
    split_column = data.split.column or manifest.own_split
    id_column = data.id if data.id in manifest.columns else None
    keys = [column for column in (id_column, *config.targets, data.split.group, split_column) if column]
    inputs: dict[str, dict[str, Column]] = {
        name: {column: [] for column in section.columns} for name, section in config.inputs.items()
    }
    watched = _watched(config, manifest)
    words: dict[str, Column] = {column: [] for column in [*keys, *watched]}
    wanted = list(
        dict.fromkeys([*keys, *watched, *(column for columns in inputs.values() for column in columns)])
    )
    unreadable: list[tuple[int, str, str]] = []
    count = 0
    for batch in manifest.batches(wanted):
        for column, cells in words.items():
            made, bad = _cells(batch[column], word_of, manifest.name, column, count, "text or a number")
            if bad and column in keys and column not in config.targets:
                raise DataError(f"{manifest.name}, column {column!r}, row {bad[0][0]}: {bad[0][1]}")
            cells += made
            if column in config.targets:
                unreadable += [(row, "row", f"target {column}: {reason}") for row, reason in bad]
        for name, section in config.inputs.items():
            for column, cells in inputs[name].items():
                convert, kind = _converter(section, manifest.root, media, [*manifest.roots, *roots])
                made, bad = _cells(batch[column], convert, manifest.name, column, count, kind)
                cells += made
                unreadable += [(row, name, reason) for row, reason in bad]
        count += len(batch[wanted[0]])
    ids = words[id_column] if id_column else [str(row) for row in range(count)]
    splits = words[split_column] if split_column else None
    check_keys(ids, splits, manifest.name)
    return _Rows(
        ids=[str(name) for name in ids],
        targets={column: words[column] for column in config.targets},
        groups=words[data.split.group] if data.split.group else [None] * count,
        watched={column: words[column] for column in watched},
        splits=[normal_split(split) for split in splits] if splits else None,
        inputs=inputs,
        unreadable=unreadable,
    )


def _watched(config: PipelineConfig, manifest: Manifest) -> list[str]:
    """Columns of groups that may stand in two splits, as the configuration or their names say."""
    options = config.audit
    if not options.rows or config.data.split.group is not None:
        return []
    if options.groups is not None:
        return [column for column in dict.fromkeys(options.groups) if column not in config.targets]
    used = {column for section in config.inputs.values() for column in section.columns}
    used |= {*config.targets, str(config.data.id), str(config.data.split.column or manifest.own_split)}
    return [column for column in manifest.columns if column not in used and looks_like_group(column)]


def _check_targets(config: PipelineConfig, rows: _Rows, quarantine: Quarantine) -> None:
    """Rows with no target at all, or with one that cannot be read, go to quarantine."""
    told = quarantine.rows
    for row, cells in enumerate(zip(*rows.targets.values(), strict=True)):
        if not any(cells) and row not in told:
            empty = " and ".join(config.targets)
            quarantine.add(rows.ids[row], "row", None, f"no target ({empty} is empty)", row)
        for (name, section), cell in zip(config.targets.items(), cells, strict=True):
            reason = unusable_target(section, cell)
            if reason is not None:
                quarantine.add(rows.ids[row], "row", None, f"target {name}: {reason}", row)


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


def _cells(
    values: list[Any], convert: Callable[[Any], str | None], name: str, column: str, first: int, kind: str
) -> tuple[Column, list[tuple[int, str]]]:
    """Cells as text, and the rows of those that are not Unicode, with the reason."""
    cells: Column = []
    bad: list[tuple[int, str]] = []
    for value in values:
        try:
            cells.append(convert(value))
        except UnusableCellError as error:
            bad.append((first + len(cells), str(error)))
            cells.append(None)
        except TypeError as error:
            raise unusable(error, name, column, first + len(cells), kind) from error
    return cells, bad


def _inputs(
    config: PipelineConfig,
    rows: _Rows,
    folder: Path,
    quarantine: Quarantine,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Column]:
    """Columns ``NAME.*`` of every input for all rows; what is wrong goes to ``quarantine``."""
    files: list[Media] = []
    for name, section in config.inputs.items():
        if isinstance(section, ImageInput | AudioInput):
            files += [
                (path, section.modality)
                for paths in rows.inputs[name].values()
                for path in paths
                if path is not None
            ]
    facts = MediaIndex(folder / "media-index.parquet").look(files, progress) if files else {}
    columns: dict[str, Column] = {}
    faulty = {(row, name) for row, name, _ in rows.unreadable}
    for name, section in config.inputs.items():
        cells = rows.inputs[name]
        match section:
            case ImageInput() | AudioInput():
                made, faults = media_columns(section, cells, facts, config.data.allow_missing_files)
                for row, path, reason in faults:
                    quarantine.add(rows.ids[row], name, path, reason, row)
                    faulty.add((row, name))
            case TextInput():
                made = _text(cells)
            case TabularInput():
                made = _table(cells)
        columns |= {f"{name}.{column}": values for column, values in made.items()}
    for row, id in enumerate(rows.ids):
        missing = [name for name in config.inputs if columns[f"{name}.digest"][row] is None]
        faults_here = [name for name in missing if (row, name) in faulty]
        for name in missing:
            if config.inputs[name].required and name not in faults_here:
                quarantine.add(id, name, None, "missing, but required", row)
        if len(missing) == len(config.inputs) and not faults_here:
            quarantine.add(id, "row", None, "no input at all (every input is missing)", row)
    return columns


def _text(cells: Mapping[str, Column]) -> dict[str, Column]:
    """Columns ``digest`` and ``text``."""
    joined = ["\n".join(filter(None, row)) or None for row in zip(*cells.values(), strict=True)]
    return {"digest": [digest(text) if text is not None else None for text in joined], "text": list(joined)}


def _table(cells: Mapping[str, Column]) -> dict[str, Column]:
    """Column ``digest`` and the configured ones."""
    rows = zip(*cells.values(), strict=True)
    digests = [digest_json(dict(zip(cells, row, strict=True))) if any(row) else None for row in rows]
    return {"digest": list(digests), **cells}


def _write(columns: Mapping[str, Sequence[str | None]], path: Path) -> None:
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
