"""Preprocess one input: samples to canonical shards, only those that are not there yet."""

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from components.config import EngineConfig, InputConfig
from components.data.files.location import read_bytes
from components.data.files.media_columns import row_digest
from components.data.samples import (
    SampleRows,
    SamplesTable,
    TrainingColumns,
    input_value,
    open_samples_table,
)
from components.engine import open_engine
from components.errors import DataError
from components.preprocess import Preprocessor, build_preprocessor, fingerprint, load_preprocessor
from components.references import Dataset, Prepared
from components.storage.atomic import write_json
from components.storage.digest import digest, digest_bytes
from components.storage.index import Digests
from components.storage.shards import ShardStore

_THREADS = 4  # at least: decoders wait for the disk and let go of the interpreter
_TOGETHER = 16  # rows that a thread takes at once


def prepare(
    dataset: Dataset,
    name: str,
    config: InputConfig,
    cache: Path,
    shard_rows: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    engine: EngineConfig = EngineConfig(),  # noqa: B008  (immutable)
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
        engine: Where it is done.

    Raises:
        DataError: If a file that ingest found good cannot be read any more; names its row.
    """
    table = open_samples_table(dataset)
    present, digests = table.digests(name)
    preprocessor = _fitted(table, name, config, present, digests, cache)
    key = fingerprint(preprocessor)
    folder = cache / f"{name}-{key}"
    state = folder / "preprocessor.json"
    write_json(state, preprocessor.state())

    store = ShardStore(folder, "arrow")
    todo = SampleRows(table, [name], present[store.absent(digests)])
    progress(0, len(todo))
    done = 0
    make = partial(Preparation, preprocessor, name, config, folder)
    for rows in open_engine(engine).shards(make, todo, shard_rows, network=False):
        done += rows
        progress(done, len(todo))
    return Prepared(name, str(folder), str(state), key, len(present), len(todo))


def _fitted(
    table: SamplesTable,
    name: str,
    config: InputConfig,
    present: np.ndarray,
    digests: Digests,
    cache: Path,
) -> Preprocessor:
    """Fit the preprocessor to the training rows; the same rows are learned from once."""
    preprocessor = build_preprocessor(config)
    training = table.column("split").equals("train")[present]
    key = digest(fingerprint(preprocessor), digests[training].values.tobytes())
    file = cache / f"{name}-learned" / f"{key}.json"
    if file.exists():
        return load_preprocessor(json.loads(file.read_text("utf-8")))
    rows = SampleRows(table, [name], present[training])
    columns = [column for column in table.columns if column.startswith(f"{name}.")]
    preprocessor.fit(TrainingColumns(rows, columns))
    write_json(file, preprocessor.state())
    return preprocessor


class Preparation:
    """Turns rows of the samples table into shards of canonical samples: on one machine and on many.

    Args:
        preprocessor: Of the input, fitted.
        name: Input.
        config: Its options.
        folder: Of the canonical store.
    """

    def __init__(self, preprocessor: Preprocessor, name: str, config: InputConfig, folder: Path) -> None:
        self._preprocessor, self._name, self._config = preprocessor, name, config
        self._store = ShardStore(folder, "arrow")

    def __call__(self, shards: Iterable[pd.DataFrame]) -> Iterator[int]:
        """Decode, normalise and write the samples of each shard; while one is finished, the next is begun.

        Raises:
            DataError: If a file has other content than ingest saw.
        """
        pool = ThreadPoolExecutor(max(_THREADS, torch.get_num_threads() + 1))
        begun: deque[tuple[list[str], Iterator[list[np.ndarray]]]] = deque()
        try:
            for shard in shards:
                begun.append(self._begin(pool, shard.to_dict("records")))
                if len(begun) > 1:
                    yield self._write(*begun.popleft())
            while begun:
                yield self._write(*begun.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _begin(
        self, pool: ThreadPoolExecutor, rows: list[dict[Any, Any]]
    ) -> tuple[list[str], Iterator[list[np.ndarray]]]:
        """Keys of a shard, and its arrays as they are decoded."""
        parts = [rows[first : first + _TOGETHER] for first in range(0, len(rows), _TOGETHER)]
        return [row[f"{self._name}.digest"] for row in rows], pool.map(self._canonical, parts)

    def _write(self, keys: list[str], parts: Iterator[list[np.ndarray]]) -> int:
        self._store.append(keys, itertools.chain.from_iterable(parts))
        return len(keys)

    def _canonical(self, rows: list[dict[Any, Any]]) -> list[np.ndarray]:
        return [_canonical(self._preprocessor, row, self._name, self._config) for row in rows]


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
