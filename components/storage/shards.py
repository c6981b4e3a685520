"""Append-only shards of arrays, keyed by content.

A store is a folder. Each shard is a file named by the checksum of its bytes, so a damaged one is
known by its name and set aside; what it held counts as missing and is computed again. Writers
never touch each other's files, so several runs may append to one store.

Features are Parquet: compressed, and readable by any other tool. Canonical samples are Arrow IPC,
uncompressed: mapped into memory, so that training takes rows in any order without loading all.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.storage.atomic import write_bytes
from components.storage.digest import digest_bytes, digest_file

logger = logging.getLogger(__name__)

Codec = Literal["parquet", "arrow"]


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

    def append(self, keys: Sequence[str], values: Sequence[np.ndarray]) -> None:
        """Write one shard of a row a key.

        Args:
            keys: Content keys.
            values: Arrays of one dtype, their shapes may differ.
        """
        dtypes = {value.dtype for value in values}
        if len(dtypes) != 1 or len(keys) != len(values):
            raise ValueError(
                f"a shard needs one dtype and a key a row; got {dtypes}, {len(keys)} keys, {len(values)} rows"
            )
        lengths = [value.size for value in values]
        flat = np.concatenate([value.reshape(-1) for value in values])
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        table = pa.table(
            {
                "key": pa.array(keys, pa.string()),
                "shape": pa.array([list(value.shape) for value in values], pa.list_(pa.int32())),
                "value": pa.LargeListArray.from_arrays(offsets, pa.array(flat)),
            }
        )
        data = _encode(table, self.codec)
        path = self.folder / f"{digest_bytes(data)}.{self.codec}"
        write_bytes(path, data)
        if self._where is not None:
            self._where.update({key: (path, row) for row, key in enumerate(keys)})

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
        return self.rows_at(self.places(keys))

    def places(self, keys: Sequence[str]) -> list[tuple[str, int]]:
        """Where the rows of ``keys`` are: file name of the shard, and row in it.

        Raises:
            KeyError: If the store lacks a key.
        """
        return [(path.name, row) for path, row in map(self._index().__getitem__, keys)]

    def rows_at(self, places: Sequence[tuple[str, int]]) -> Rows:
        """As :meth:`rows`, of what :meth:`places` gave, here or in another process: no index is made."""
        shards = {
            name: _Shard(_decode(self.folder / name, self.codec)) for name in {name for name, _ in places}
        }
        return Rows([(shards[name], row) for name, row in places])

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
        if digest_file(path) != path.stem:
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
    def __init__(self, table: pa.Table) -> None:
        value = table.column("value")
        # a shard is written as one chunk; combining even that would copy mapped memory
        value = value.chunk(0) if value.num_chunks == 1 else value.combine_chunks()
        self._offsets = value.offsets.to_numpy()
        self._flat = value.values.to_numpy()
        self._shapes = table.column("shape").to_pylist()

    def __getitem__(self, row: int) -> np.ndarray:
        return self._flat[self._offsets[row] : self._offsets[row + 1]].reshape(self._shapes[row])


def _encode(table: pa.Table, codec: Codec) -> bytes:
    sink = pa.BufferOutputStream()
    if codec == "parquet":
        pq.write_table(table, sink, compression="zstd")
    else:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _decode(path: Path, codec: Codec, columns: list[str] | None = None) -> pa.Table:
    if codec == "parquet":
        return pq.read_table(path, columns=columns)
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return table.select(columns) if columns else table
