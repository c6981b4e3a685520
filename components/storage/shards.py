"""Append-only shards of arrays, keyed by content.

A store is a folder. Each shard is a file named by the checksum of its bytes, so a damaged one is
known by its name and set aside; what it held counts as missing and is computed again. Writers
never touch each other's files, so several runs may append to one store.

Features are Parquet: compressed, and readable by any other tool. Canonical samples are Arrow IPC,
uncompressed: mapped into memory, so that training takes rows in any order without loading all.
"""

from __future__ import annotations

import bisect
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.storage.atomic import named_by_checksum
from components.storage.checksum import SummedFile, checksum_file

logger = logging.getLogger(__name__)

Codec = Literal["parquet", "arrow"]
_TOGETHER = 32  # rows of canonical samples that are held while they are written


class ShardStore:
    """Arrays of one dtype, one for each content key, in shards below a folder.

    Args:
        folder: Made when the first shard is written.
        codec: ``parquet`` to stream and share, ``arrow`` for random access.
    """

    def __init__(self, folder: Path, codec: Codec) -> None:
        self.folder = Path(folder)
        self.codec: Codec = codec
        self._where: dict[str, tuple[Path, int]] | None = None

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of ``keys`` that the store lacks, each once, in order of appearance."""
        where = self._index()
        return [key for key in dict.fromkeys(keys) if key not in where]

    def append(self, keys: Sequence[str], values: Iterable[np.ndarray]) -> None:
        """Write one shard of a row a key.

        Args:
            keys: Content keys.
            values: Arrays of one dtype, their shapes may differ; of canonical samples only a few are held.

        Raises:
            ValueError: If dtypes differ, or there are not as many arrays as keys.
        """
        together = _TOGETHER if self.codec == "arrow" else max(1, len(keys))
        with named_by_checksum(self.folder, f".{self.codec}") as file:
            _write(file, self.codec, _tables(keys, iter(values), together))
        if self._where is not None:
            self._where.update({key: (file.path, row) for row, key in enumerate(keys)})

    def read(self, keys: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        """Read rows a shard at a time.

        Yields:
            Position in ``keys`` and its array; every position once, in no certain order.

        Raises:
            KeyError: If the store lacks a key.
        """
        wanted: dict[Path, list[tuple[int, int]]] = {}
        for position, (path, row) in enumerate(map(self._index().__getitem__, keys)):
            wanted.setdefault(path, []).append((position, row))
        for path, rows in wanted.items():
            shard = _Shard(_decode(path, self.codec))
            for position, row in rows:
                yield position, shard[row]

    def stack(self, keys: Sequence[str]) -> np.ndarray:
        """All rows of ``keys`` as one array (N, ...), padded with zeros where lengths along axis 0 differ."""
        found = dict(self.read(keys))
        shape = np.max([array.shape for array in found.values()], axis=0)
        result = np.zeros((len(keys), *shape), next(iter(found.values())).dtype)
        for position, array in found.items():
            place: tuple[int | slice, ...] = (position, *(slice(length) for length in array.shape))
            result[place] = array
        return result

    def rows(self, keys: Sequence[str]) -> Rows:
        """Random access to the rows of ``keys``, without loading them (codec ``arrow``).

        Raises:
            KeyError: If the store lacks a key.
        """
        places = [self._index()[key] for key in keys]
        shards = {path: _Shard(_decode(path, self.codec)) for path in {path for path, _ in places}}
        return Rows([(shards[path], row) for path, row in places])

    def _index(self) -> dict[str, tuple[Path, int]]:
        if self._where is None:
            self._where = {}
            for path in sorted(self.folder.glob(f"*.{self.codec}")):
                if path.name.startswith("."):
                    continue  # being written, or left over by a writer that was killed
                try:
                    self._where |= self._keys(path)
                except FileNotFoundError:
                    continue  # damaged, and set aside by another process just now
        return self._where

    def _keys(self, path: Path) -> dict[str, tuple[Path, int]]:
        if checksum_file(path) != path.stem:
            self._set_aside(path)
            return {}
        keys = _decode(path, self.codec, columns=["key"]).column("key").to_pylist()
        return {key: (path, row) for row, key in enumerate(keys)}

    def _set_aside(self, path: Path) -> None:
        aside = path.with_suffix(".damaged")
        logger.warning(
            "%s does not match its checksum: set aside as %s, its rows are made again", path, aside.name
        )
        path.replace(aside)


class Rows:
    """Arrays by position, read from mapped shards when they are asked for."""

    def __init__(self, places: list[tuple[_Shard, int]]) -> None:
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: int) -> np.ndarray:
        shard, row = self._places[position]
        return shard[row]


class _Shard:
    """Rows of a shard, in the parts in which it was written: joining these would copy mapped memory."""

    def __init__(self, table: pa.Table) -> None:
        self._parts = [_Part(batch) for batch in table.to_batches()]
        self._starts = list(itertools.accumulate((part.rows for part in self._parts), initial=0))

    def __getitem__(self, row: int) -> np.ndarray:
        part = bisect.bisect_right(self._starts, row) - 1
        return self._parts[part][row - self._starts[part]]


class _Part:
    def __init__(self, batch: pa.RecordBatch) -> None:
        value = batch.column("value")
        self.rows = len(value)
        self._offsets, self._flat = value.offsets.to_numpy(), value.values.to_numpy()
        self._shapes = batch.column("shape").to_pylist()

    def __getitem__(self, row: int) -> np.ndarray:
        return self._flat[self._offsets[row] : self._offsets[row + 1]].reshape(self._shapes[row])


def _tables(keys: Sequence[str], values: Iterator[np.ndarray], together: int) -> Iterator[pa.Table]:
    """Keys and values as tables of some rows each."""
    dtypes: set[np.dtype] = set()
    for start in range(0, max(1, len(keys)), together):
        arrays = list(itertools.islice(values, together))
        part = keys[start : start + together]
        dtypes |= {array.dtype for array in arrays}
        if len(dtypes) != 1 or len(arrays) != len(part):
            raise ValueError(
                f"a shard needs one dtype and a key a row; got {dtypes}, {len(keys)} keys, "
                f"{start + len(arrays)} rows"
            )
        offsets = np.cumsum([0, *(array.size for array in arrays)])
        flat = np.concatenate([array.reshape(-1) for array in arrays])
        yield pa.table(
            {
                "key": pa.array(part, pa.string()),
                "shape": pa.array([list(array.shape) for array in arrays], pa.list_(pa.int32())),
                "value": pa.LargeListArray.from_arrays(offsets, pa.array(flat)),
            }
        )
    if next(values, None) is not None:
        raise ValueError(f"a shard needs a key a row; got {len(keys)} keys and more rows")


def _write(file: SummedFile, codec: Codec, tables: Iterator[pa.Table]) -> None:
    first = next(tables)
    rest = itertools.chain([first], tables)
    if codec == "parquet":
        with pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
            for table in rest:
                writer.write_table(table)
    else:
        with pa.ipc.new_file(file, first.schema) as writer:
            for table in rest:
                writer.write_table(table)


def _decode(path: Path, codec: Codec, columns: list[str] | None = None) -> pa.Table:
    if codec == "parquet":
        return pq.read_table(path, columns=columns)
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return table.select(columns) if columns else table
