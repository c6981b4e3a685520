"""Preprocess one input: samples to canonical shards, only those that are not there yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from components.config.engine import EngineConfig
from components.config.inputs import InputConfig
from components.data.ingest import Dataset
from components.data.location import read_bytes
from components.data.media_columns import row_digest
from components.engine import open_engine
from components.errors import DataError
from components.preprocess import Preprocessor, build_preprocessor
from components.references import Prepared
from components.samples import input_value, read_samples
from components.storage.atomic import write_json
from components.storage.digest import digest_bytes
from components.storage.shards import ShardStore

_THREADS = 4  # decoders wait for the disk and let go of the interpreter


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
    samples = read_samples(dataset, [name], values=True)
    samples = samples[samples[f"{name}.digest"].notna()]
    preprocessor = build_preprocessor(config)
    preprocessor.fit(samples[samples["split"] == "train"])
    fingerprint = preprocessor.fingerprint()
    folder = cache / f"{name}-{fingerprint}"
    state = folder / "preprocessor.json"
    write_json(state, preprocessor.state())

    store = ShardStore(folder, "arrow")
    missing = store.missing(samples[f"{name}.digest"])
    todo = samples.drop_duplicates(f"{name}.digest").set_index(f"{name}.digest", drop=False).loc[missing]
    todo = todo.reset_index(drop=True)
    progress(0, len(todo))
    done = 0
    make = partial(Preparation, preprocessor, name, config, folder)
    for rows in open_engine(engine).shards(make, todo, shard_rows, network=False):
        done += rows
        progress(done, len(todo))
    return Prepared(name, str(folder), str(state), fingerprint, len(samples), len(todo))


class Preparation:
    """Turns rows of the samples table into shards of canonical samples: on one machine and on many.

    Args:
        preprocessor: Of the input, fitted.
        name: Input.
        config: Its options.
        folder: Of the canonical store.
    """

    def __init__(self, preprocessor: Preprocessor, name: str, config: InputConfig, folder: Path) -> None:
        self._preprocessor, self._name, self._config, self._folder = preprocessor, name, config, folder
        self._pool = ThreadPoolExecutor(_THREADS)

    def __call__(self, shards: Iterable[pd.DataFrame]) -> Iterator[int]:
        """Decode, normalise and write the samples of each shard.

        Raises:
            DataError: If a file has other content than ingest saw.
        """
        for shard in shards:
            rows = shard.to_dict("records")
            arrays = list(self._pool.map(self._canonical, rows))
            ShardStore(self._folder, "arrow").append([row[f"{self._name}.digest"] for row in rows], arrays)
            yield len(rows)

    def _canonical(self, row: dict[Any, Any]) -> Any:
        return _canonical(self._preprocessor, row, self._name, self._config)


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
