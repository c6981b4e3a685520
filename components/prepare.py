"""Preprocess one input: samples to canonical shards, only those that are not there yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components.config.inputs import InputConfig
from components.data.ingest import Dataset
from components.data.location import read_bytes
from components.data.media_columns import row_digest
from components.errors import DataError
from components.preprocess import Preprocessor, build_preprocessor, load_preprocessor
from components.references import Prepared
from components.samples import SampleRows, TrainingColumns, input_value, read_column, read_digests
from components.storage.atomic import write_json
from components.storage.digest import digest, digest_bytes
from components.storage.index import Digests
from components.storage.shards import ShardStore

_TOGETHER = 16  # rows that a thread takes at once
_THREADS = 4  # decoders wait for the disk and let go of the interpreter


def prepare(
    dataset: Dataset,
    name: str,
    config: InputConfig,
    cache: Path,
    shard_rows: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Bring the samples of one input into canonical form.

    What a preprocessor learns (vocabulary, categories, scales) comes from training rows alone.

    Args:
        dataset: Reference to the samples.
        name: Input.
        config: Its options.
        cache: Folder of the canonical stores.
        shard_rows: Most rows of a shard, which is what a kill can cost.
        progress: Called with rows done and rows to do.

    Raises:
        DataError: If a file that ingest found good cannot be read any more; names its row.
    """
    there, digests = read_digests(dataset, name)
    preprocessor = _fitted(dataset, name, config, there, digests, cache)
    fingerprint = preprocessor.fingerprint()
    folder = cache / f"{name}-{fingerprint}"
    state = folder / "preprocessor.json"
    write_json(state, preprocessor.state())

    store = ShardStore(folder, "arrow")
    todo = SampleRows(dataset, [name], there[store.absent(digests)])
    progress(0, len(todo))

    def canonical(rows: list[dict[Any, Any]]) -> list[Any]:
        return [_canonical(preprocessor, row, name, config) for row in rows]

    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(todo), shard_rows):
            part = todo[start : start + shard_rows].to_dict("records")
            groups = [part[first : first + _TOGETHER] for first in range(0, len(part), _TOGETHER)]
            arrays = [array for made in pool.map(canonical, groups) for array in made]
            store.append([row[f"{name}.digest"] for row in part], arrays)
            progress(min(start + shard_rows, len(todo)), len(todo))
    return Prepared(name, str(folder), str(state), fingerprint, len(there), len(todo))


def _fitted(
    dataset: Dataset, name: str, config: InputConfig, there: np.ndarray, digests: Digests, cache: Path
) -> Preprocessor:
    """The preprocessor with what it learns from the training rows; learned once for the same rows."""
    preprocessor = build_preprocessor(config)
    training = read_column(dataset, "split").equals("train")[there]
    key = digest(preprocessor.fingerprint(), digests[training].values.tobytes())
    file = cache / f"{name}-learned" / f"{key}.json"
    if file.exists():
        return load_preprocessor(json.loads(file.read_text("utf-8")))
    rows = SampleRows(dataset, [name], there[training])
    columns = [column for column in pq.read_schema(dataset.samples).names if column.startswith(f"{name}.")]
    preprocessor.fit(TrainingColumns(rows, columns))
    write_json(file, preprocessor.state())
    return preprocessor


def _canonical(preprocessor: Preprocessor, row: dict[Any, Any], name: str, config: InputConfig) -> Any:
    value = input_value(row, name, config)
    try:
        if config.modality in ("image", "audio"):
            value = _unchanged(value, row[f"{name}.digest"])
        return preprocessor.canonical(value)
    except (OSError, ValueError, DataError) as error:
        raise DataError(
            f"sample {row['id']!r}, input {name!r}: could be read by ingest but not now: {error}. "
            "Did the file change during the run? Run again to take it up anew."
        ) from error


def _unchanged(paths: str | list[str], digest: str) -> bytes | list[bytes]:
    """Content of the files of a row, if it is still that which ingest saw; else it would get a wrong key."""
    if isinstance(paths, str):
        content = read_bytes(paths)
        if digest_bytes(content) != digest:
            raise DataError(f"{paths}: has other content now")
        return content
    contents = [read_bytes(path) for path in paths]
    if row_digest([digest_bytes(content) for content in contents]) != digest:
        raise DataError(f"{', '.join(paths)}: one of them has other content now")
    return contents
