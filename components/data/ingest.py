"""From ``data.source`` to ``samples.parquet``: read, check, look at every file, split, write.

The source is read twice: first its keys, which are held, in Arrow's memory; then the inputs, of which a few
thousand rows are held at a time. What memory is needed therefore hardly grows with the number of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.config.pipeline import PipelineConfig
from components.data.checks import check_columns, check_splits
from components.data.contents import content_schema, read_contents
from components.data.keys import check_targets, read_keys
from components.data.labels import build_targets, strata
from components.data.quarantine import Quarantine
from components.data.sources.readers import open_manifest
from components.data.splits import SPLITS, assign
from components.errors import DataError
from components.references import Dataset
from components.storage.atomic import replacing
from components.storage.column import Column
from components.storage.digest import TableDigest
from components.targets.collection import PREFIX

_ROW_GROUP = 16384
WATCHED = "group."
"""What the names of columns begin with that nothing is learned from, for the audit to look at."""


def ingest(
    config: PipelineConfig,
    folder: Path,
    base: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
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
        progress: Told how many of how many rows have been looked at.
        tables: Where the two tables go; ``folder`` by default.

    Raises:
        DataError: If the source cannot be read, a column is not there, ids are not unique, a split or
            class is empty, or more than ``data.max_bad`` of the rows are bad; the quarantine table is
            written before that.
    """
    folder = folder.absolute()
    tables = folder if tables is None else tables.absolute()
    tables.mkdir(parents=True, exist_ok=True)
    manifest = open_manifest(config.data, folder, base)
    check_columns(config, manifest)
    keys = read_keys(config, manifest)
    quarantine = Quarantine()
    check_targets(config, keys, quarantine)
    with TemporaryFile(dir=tables) as contents:
        done = 0
        with pa.ipc.new_stream(contents, content_schema(config)) as writer:
            for batch in read_contents(config, manifest, keys.ids, folder, base, quarantine):
                writer.write_batch(batch)
                done += batch.num_rows
                progress(done, len(keys))
        if done != len(keys):
            raise DataError(f"{manifest.name}: changed while it was read ({len(keys)} rows, then {done})")
        quarantine.write(tables / "quarantine.parquet")
        quarantine.check(
            len(keys), config.data.max_bad, manifest.name, manifest.root, tables / "quarantine.parquet"
        )
        usable = np.ones(len(keys), bool)
        usable[list(quarantine.rows)] = False
        ids, groups = keys.ids.keep(usable), keys.groups.keep(usable)
        targets = {name: cells.keep(usable) for name, cells in keys.targets.items()}
        splits = assign(
            None if keys.splits is None else [keys.splits[row] for row in np.flatnonzero(usable)],
            ids,
            strata(config.target, targets[config.target.column]),
            groups,
            config.data.split,
            config.seed,
        )
        check_splits(splits, manifest.name)
        known = build_targets(config, targets, keys.targets, splits, manifest.name)
        named = {f"{PREFIX}{name}": cells for name, cells in targets.items()}
        watched = {f"{WATCHED}{name}": cells.keep(usable) for name, cells in keys.watched.items()}
        digest, missing = _write(
            {"id": ids, "split": splits, **named, "group": groups},
            watched,
            contents,
            usable,
            list(config.inputs),
            tables / "samples.parquet",
        )
    counts = Counter(splits)
    return Dataset(
        samples=str(tables / "samples.parquet"),
        quarantine=str(tables / "quarantine.parquet"),
        digest=digest,
        source=manifest.source,
        rows=len(ids),
        quarantined=len(keys) - len(ids),
        targets=known,
        splits={split: counts[split] for split in SPLITS},
        missing=missing,
    )


def _write(
    keys: dict[str, Column | Sequence[str]],
    watched: dict[str, Column],
    contents: IO[bytes],
    usable: np.ndarray,
    inputs: Sequence[str],
    path: Path,
) -> tuple[str, dict[str, int]]:
    """Write the samples table, keys beside the contents of the same rows.

    Args:
        keys: Columns of the usable rows.
        watched: Further ones, which are no part of what the rows are.
        contents: Stream of Arrow batches of all rows.
        usable: (N,) bool, of all rows.
        inputs: Their names.
        path: Of the table.

    Returns:
        Digest of keys and contents; and rows in which an input is missing, for each input.
    """
    contents.seek(0)
    stream = pa.ipc.open_stream(contents)
    columns = {**keys, **watched}
    schema = pa.schema([*((name, pa.string()) for name in columns), *stream.schema])
    digests = [f"{name}.digest" for name in inputs]
    known = TableDigest([*keys, *digests])
    missing = dict.fromkeys(inputs, 0)
    seen = written = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for group in _groups(stream):
            part = group.filter(pa.array(usable[seen : seen + len(group)]))
            rows = slice(written, written + len(part))
            cells = [
                column[rows].values if isinstance(column, Column) else pa.array(column[rows], pa.string())
                for column in columns.values()
            ]
            table = pa.table([*cells, *part.columns], schema=schema)
            known.add(table)
            for name in inputs:
                missing[name] += table.column(f"{name}.digest").null_count
            writer.write_table(table, row_group_size=_ROW_GROUP)
            seen, written = seen + len(group), rows.stop
    return known.hexdigest(), missing


def _groups(stream: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Some batches at a time: those of a row group."""
    batches: list[pa.RecordBatch] = []
    for batch in stream:
        batches.append(batch)
        if sum(map(len, batches)) >= _ROW_GROUP:
            yield pa.Table.from_batches(batches)
            batches = []
    if batches:
        yield pa.Table.from_batches(batches)
