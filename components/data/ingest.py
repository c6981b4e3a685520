"""Ingest: from ``data.source`` to ``samples.parquet``.

The source is read twice: first the keys of all rows, then the contents in chunks of a few thousand rows.
The memory that ingest needs therefore hardly grows with the number of rows.
"""

from __future__ import annotations

import logging
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.config.durations import seconds
from components.config.inputs import TabularInput
from components.config.pipeline import PipelineConfig
from components.config.targets import RegressionTarget
from components.data.checks import check_columns, check_splits
from components.data.contents import content_keys, content_schema, read_contents
from components.data.findings import MediaFindings
from components.data.keys import Keys, check_targets, read_keys
from components.data.labels import build_targets, check_classes, spell_orders, strata, untaught
from components.data.periods import LATER, LEFT_OUT, WINDOW, divide, periods
from components.data.quarantine import Quarantine
from components.data.sources.readers import open_manifest
from components.data.splits import SPLITS, UNLABELLED, assign
from components.data.times import Times, as_of, shown
from components.errors import DataError
from components.redaction import redacted
from components.references import Dataset
from components.storage.atomic import replacing
from components.storage.column import Column
from components.storage.digest import TableDigest
from components.targets import Regression
from components.targets.collection import PREFIX
from components.targets.scales import Log, Own

logger = logging.getLogger(__name__)

_ROW_GROUP = 16384  # rows
_BAD = "quarantine"
TIME = "time"
"""Column of the samples table with the time of each row in UTC, where rows have one."""
AUDIT_GROUP = "group."
"""Prefix of columns in the samples table from which nothing learns: groups for the audit."""


def ingest(
    config: PipelineConfig,
    folder: Path,
    base: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    tables: Path | None = None,
) -> Dataset:
    """Read and check the data, and write ``samples.parquet`` and ``quarantine.parquet``.

    A bad row goes to quarantine with its reason: a media file that is damaged or does not exist, a required
    input that is missing, no input at all, no usable time. An empty cell is a missing input. A row without a
    target is kept, as split ``unlabelled``.

    Args:
        config: Pipeline configuration.
        folder: Work folder for the index of media files, embedded media and the demo data; runs may share it.
        base: Folder of the pipeline file. A relative ``data.source`` is looked up here, then in the working
            directory.
        progress: Function called with the number of rows done and of all rows.
        tables: Folder for the two tables; ``folder`` by default.

    Returns:
        Reference to the checked data.

    Raises:
        DataError: If the source cannot be read, a column does not exist, ids are not unique, or a split or
            class is empty. Also if more than ``data.max_bad`` of the rows are bad; the quarantine table is
            written before that.
    """
    folder = folder.absolute()
    tables = folder if tables is None else tables.absolute()
    tables.mkdir(parents=True, exist_ok=True)
    samples, quarantined = tables / "samples.parquet", tables / "quarantine.parquet"

    # Columns and keys are checked first, so that a wrong configuration stops before any file is decoded.
    manifest = open_manifest(config.data, folder, base)
    check_columns(config, manifest)
    manifest, times = as_of(config.data, list(config.targets), manifest)
    keys = read_keys(config, manifest)
    findings = [*manifest.findings, *(() if times is None else times.findings)]
    if not (keys.named or manifest.numbered):
        findings.append(
            f"{manifest.name}: rows have no ids and are known by their contents, so a row that is changed is "
            "another row; data.id names a column of ids"
        )
        logger.warning("%s", findings[-1])
    config = spell_orders(config, keys.spellings)
    quarantine = Quarantine()
    check_targets(config, keys, quarantine)
    for row, reason in () if times is None else times.faults:
        quarantine.add(str(keys.ids[row]), "row", None, reason, row)

    with TemporaryFile(dir=tables) as contents:
        # Contents wait in a file, as the splits of their rows are drawn when all bad rows are known.
        done, content = 0, array("Q")
        with pa.ipc.new_stream(contents, content_schema(config)) as writer:
            for batch in read_contents(config, manifest, keys.ids, keys.spellings, folder, base, quarantine):
                writer.write_batch(batch)
                if not keys.named:
                    digests = (batch.column(f"{name}.digest").to_pylist() for name in config.inputs)
                    content.extend(content_keys(zip(*digests, strict=True)))
                done += batch.num_rows
                progress(done, len(keys))
        if done != len(keys):
            raise DataError(f"{manifest.name}: changed while it was read ({len(keys)} rows, then {done})")

        # The table is written before the check, as the check's message points to it.
        quarantine.write(quarantined)
        quarantine.check(len(keys), config.data.max_bad, manifest.name, manifest.root, quarantined)

        # Splits are drawn among usable rows alone, so that each gets its share of them.
        usable = np.ones(len(keys), bool)  # (N,)
        usable[list(quarantine.rows)] = False
        for column, section in config.targets.items():
            check_classes(section, keys.targets[column].keep(usable), manifest.name)
        division = _divide(config, keys, usable, content, times, manifest.name)
        # A class that no training row has yet stays out, as test rows have to stay test rows: see ADR 036.
        aside = untaught(config, keys.targets, division.tolist()) if keys.splits is None else {}
        for row, reason in aside.items():
            quarantine.add(str(keys.ids[row]), "row", None, reason, row)
        if aside:
            quarantine.write(quarantined)
        possible = ~np.isin(division, LEFT_OUT)
        left_out = Counter(division[~possible].tolist())
        possible[list(aside)] = False
        usable &= possible
        splits = division[usable].tolist()
        check_splits(splits, manifest.name)
        ids, groups = keys.ids.keep(usable), keys.groups.keep(usable)
        targets = {name: cells.keep(usable) for name, cells in keys.targets.items()}

        # Classes and scales come from the training rows, so they can be built only now.
        every_cell = {name: cells.keep(possible) for name, cells in keys.targets.items()}
        known_targets = build_targets(config, targets, every_cell, splits, manifest.name)
        target_columns = {f"{PREFIX}{name}": cells for name, cells in targets.items()}
        audit_columns = {
            f"{AUDIT_GROUP}{name}": cells.keep(usable) for name, cells in keys.audit_groups.items()
        }
        if times is not None:
            target_columns[TIME] = Column.of(shown(at, precise=True) for at in times.at[usable].tolist())
        media = MediaFindings(config.inputs)
        digest, missing = _write(
            {"id": ids, "split": splits, **target_columns, "group": groups},
            audit_columns,
            contents,
            usable,
            list(config.inputs),
            samples,
            media,
        )

    counts = Counter(splits)
    if counts[UNLABELLED]:
        findings.append(f"{counts[UNLABELLED]} rows have no target and are kept as split {UNLABELLED}")
    return Dataset(
        samples=str(samples),
        quarantine=str(quarantined),
        digest=digest,
        source=manifest.source,
        rows=len(ids),
        quarantined=len(keys) - len(ids) - left_out.total(),
        targets=known_targets,
        splits={split: counts[split] for split in (*SPLITS, *[UNLABELLED] * (UNLABELLED in counts))},
        left_out={
            **{reason: left_out[reason] for reason in LEFT_OUT if left_out[reason]},
            **({} if times is None or config.data.as_of is None else {LATER: times.later}),
        },
        periods={} if times is None else periods(times.at[usable], splits),
        missing=missing,
        spellings={column: spelling.to_json() for column, spelling in keys.spellings.items()},
        readings={
            column: str(keys.readings[column]) for column in [*config.targets, *_table_columns(config)]
        },
        findings=(
            *findings,
            *(
                f"{target.name}: its numbers have long tails, so they are learned on a scale of their "
                f"{'logarithm' if isinstance(target.scale, Log) else 'inverse hyperbolic sine'} (to change "
                "it: transform: none in the target)"
                for target in known_targets
                if isinstance(target, Regression) and not isinstance(target.scale, Own)
            ),
            *(finding for reading in keys.readings.values() for finding in reading.findings),
            *media.sentences(),
        ),
        named=keys.named,
    )


def _table_columns(config: PipelineConfig) -> list[str]:
    tables = [section for section in config.inputs.values() if isinstance(section, TabularInput)]
    return [column for section in tables for column in section.columns]


def _divide(
    config: PipelineConfig,
    keys: Keys,
    usable: np.ndarray,
    content: array[int],
    times: Times | None,
    name: str,
) -> np.ndarray:
    """Return the split of each row, or the reason why it is none of any.

    Args:
        usable: (N,) bool, False for rows in quarantine.
        content: Contents of rows that have no ids, by which they are known.
        times: Times of the rows.
        name: Name of the manifest, for messages.

    Returns:
        (N,) object: a split, a word of :data:`LEFT_OUT`, or :data:`_BAD`.
    """
    division = np.where(usable, UNLABELLED, _BAD).astype(object)
    labelled = usable & keys.labelled
    if not labelled.any():
        raise DataError(f"{name}: no usable row has a target ({' and '.join(config.targets)} is empty)")
    if times is not None and config.data.window is not None:
        old = times.at <= times.at[labelled].max() - seconds(config.data.window)
        division[usable & old] = WINDOW
        labelled &= ~old
    options = config.data.split
    groups = keys.groups.keep(labelled)
    if options.by == "time":
        assert times is not None
        division[labelled] = divide(times.at[labelled], groups, options)
        return division
    column = config.target.column
    cells = keys.targets[column].keep(labelled)
    # Rows of numbers exchange none, as ranges of numbers move with every row.
    is_number = isinstance(config.target, RegressionTarget)
    try:
        division[labelled] = assign(
            None if keys.splits is None else [keys.splits[row] for row in np.flatnonzero(labelled)],
            keys.ids.keep(labelled) if keys.named else np.frombuffer(content, np.uint64)[labelled].tolist(),
            [""] * len(cells) if is_number else strata(config.target, cells),
            groups,
            options,
        )
    except DataError as error:
        raise DataError(f"{redacted(str(config.data.source))}: {error}") from None
    return division


def _write(
    keys: dict[str, Column | Sequence[str]],
    audit_columns: dict[str, Column],
    contents: IO[bytes],
    usable: np.ndarray,
    inputs: Sequence[str],
    path: Path,
    media: MediaFindings,
) -> tuple[str, dict[str, int]]:
    """Write the samples table: the keys beside the contents of the same rows.

    Args:
        keys: Columns of the usable rows.
        audit_columns: Further columns of the usable rows, which do not enter the digest.
        contents: Stream of Arrow batches of all rows.
        usable: (N,) bool, True for each usable row among all rows.
        inputs: Names of the inputs.
        path: File to write.
        media: Collection that receives the facts of media files.

    Returns:
        Digest of keys and contents; number of rows in which an input is missing, per input.
    """
    contents.seek(0)
    stream = pa.ipc.open_stream(contents)
    columns = {**keys, **audit_columns}
    schema = pa.schema([*((name, pa.string()) for name in columns), *stream.schema])
    table_digest = TableDigest([*keys, *(f"{name}.digest" for name in inputs)])
    missing = dict.fromkeys(inputs, 0)
    rows_read = rows_written = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for group in _row_groups(stream):
            part = group.filter(pa.array(usable[rows_read : rows_read + len(group)]))
            rows = slice(rows_written, rows_written + len(part))
            cells = [
                column[rows].values if isinstance(column, Column) else pa.array(column[rows], pa.string())
                for column in columns.values()
            ]
            table = pa.table([*cells, *part.columns], schema=schema)
            table_digest.add(table)
            media.add(table)
            for name in inputs:
                missing[name] += table.column(f"{name}.digest").null_count
            writer.write_table(table, row_group_size=_ROW_GROUP)
            rows_read, rows_written = rows_read + len(group), rows.stop
    return table_digest.hexdigest(), missing


def _row_groups(stream: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Join batches to tables of about a row group."""
    batches: list[pa.RecordBatch] = []
    for batch in stream:
        batches.append(batch)
        if sum(map(len, batches)) >= _ROW_GROUP:
            yield pa.Table.from_batches(batches)
            batches = []
    if batches:
        yield pa.Table.from_batches(batches)
