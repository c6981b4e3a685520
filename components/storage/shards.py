"""Append-only shards of arrays, keyed by content.

A store is a folder. Each shard is a file named by the checksum of its bytes, so a damaged one is
known by its name and set aside; what it held counts as missing and is computed again. Shards are
checked when they are first seen and when their size or time of change is another than then; what
was seen stands in `index.ipc`. Writers never touch each other's shards, so several runs may append
to one store.

Features are Parquet: compressed, and readable by any other tool. Canonical samples are Arrow IPC,
uncompressed: mapped into memory, so that training takes rows in any order without loading all.
"""

from __future__ import annotations

import bisect
import itertools
import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.storage.atomic import SummedFile, checksum_file, named_by_checksum
from components.storage.index import ShardIndex

logger = logging.getLogger(__name__)

Codec = Literal["parquet", "arrow"]
_INDEX = "index.ipc"
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
        self._where: ShardIndex | None = None

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of ``keys`` that the store lacks, each once, in order of appearance."""
        keys = list(keys)
        return [keys[position] for position in self.absent(keys)]

    def absent(self, keys: Sequence[str]) -> np.ndarray:
        """Positions of the ``keys`` that the store lacks, each key once. (n,) int64, ascending."""
        return self._index().absent(keys)

    def in_order(self, keys: Sequence[str]) -> np.ndarray:
        """Positions of ``keys`` in the order in which they are stored. (N,) int64.

        Raises:
            KeyError: If the store lacks a key.
        """
        places, names = self._places(keys), [shard.name for shard in self._index().shards]
        rank = np.argsort(np.argsort(names))  # by name, so that it is the same in every process
        return np.lexsort((places[:, 1], rank[places[:, 0]] if names else places[:, 0]))

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
            self._where.add(file.path, keys)

    def read(self, keys: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        """Read rows a shard at a time.

        Yields:
            Position in ``keys`` and its array; every position once, in no certain order.

        Raises:
            KeyError: If the store lacks a key.
        """
        places, shards = self._places(keys), self._index().shards
        order = np.lexsort((places[:, 1], places[:, 0]))
        numbers = places[order, 0]
        for positions in np.split(order, np.flatnonzero(np.diff(numbers)) + 1):
            if len(positions):
                shard = _Shard(_decode(shards[places[positions[0], 0]], self.codec))
                for position in positions.tolist():
                    yield position, shard[places[position, 1]]

    def stack(self, keys: Sequence[str]) -> np.ndarray:
        """All rows of ``keys`` as one array (N, ...), padded with zeros where lengths along axis 0 differ."""
        result: np.ndarray | None = None
        for position, array in self.read(keys):
            if result is None:
                result = np.zeros((len(keys), *array.shape), array.dtype)
            shape = tuple(np.maximum(result.shape[1:], array.shape).tolist())
            if shape != result.shape[1:]:
                smaller, result = result, np.zeros((len(keys), *shape), array.dtype)
                result[tuple(map(slice, smaller.shape))] = smaller
            index: tuple[int | slice, ...] = (position, *map(slice, array.shape))
            result[index] = array
        if result is None:
            raise ValueError("nothing to stack: no keys")
        return result

    def rows(self, keys: Sequence[str], most_open: int | None = None) -> Rows:
        """Access to the rows of ``keys``, without loading them (codec ``arrow``).

        Args:
            keys: Content keys.
            most_open: Shards that stay mapped; None for all, which random access needs.

        Raises:
            KeyError: If the store lacks a key.
        """
        return Rows(self._places(keys), self._index().shards, most_open)

    def places(self, keys: Sequence[str]) -> list[tuple[str, int]]:
        """Find the rows of ``keys``: file name of the shard, and row in it.

        Raises:
            KeyError: If the store lacks a key.
        """
        shards = self._index().shards
        return [(shards[shard].name, row) for shard, row in self._places(keys).tolist()]

    def rows_at(self, places: Sequence[tuple[str, int]]) -> Rows:
        """As :meth:`rows`, of what :meth:`places` gave, here or in another process: no index is made."""
        numbers = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in places))}
        positions = np.array([(numbers[name], row) for name, row in places], np.int32).reshape(-1, 2)
        return Rows(positions, [self.folder / name for name in numbers])

    def _places(self, keys: Sequence[str]) -> np.ndarray:
        """Number of the shard and row of each key. (N, 2) int32."""
        places = self._index().find(keys)
        lacking = np.flatnonzero(places[:, 0] < 0)
        if len(lacking):
            raise KeyError(keys[int(lacking[0])])
        return places

    def _index(self) -> ShardIndex:
        """A shard whose size and time of change are known is not read; others are checked, and then known."""
        if self._where is None:
            stamps = {path.name: stamp for path in self._shards() if (stamp := _stamp(path)) is not None}
            self._where = ShardIndex.load(self.folder / _INDEX, stamps)
            fresh = sorted(stamps.keys() - {path.name for path in self._where.shards})
            for path in map(self.folder.joinpath, fresh):
                try:
                    keys = self._keys(path)
                except FileNotFoundError:
                    continue  # damaged, and set aside by another process just now
                if keys is not None:
                    self._where.add(path, keys)
            if fresh:
                with suppress(OSError):  # a folder that may only be read is checked every time
                    self._where.save(self.folder / _INDEX, stamps)
        return self._where

    def _shards(self) -> list[Path]:
        """Those that are whole: others are being written, or left over by a writer that was killed."""
        return [path for path in self.folder.glob(f"*.{self.codec}") if not path.name.startswith(".")]

    def _keys(self, path: Path) -> list[str] | None:
        """Keys of a shard; None for a damaged one, which is set aside."""
        if checksum_file(path) != path.stem:
            self._set_aside(path)
            return None
        return _decode(path, self.codec, columns=["key"]).column("key").to_pylist()

    def _set_aside(self, path: Path) -> None:
        aside = path.with_suffix(".damaged")
        logger.warning(
            "%s does not match its checksum: set aside as %s, its rows are made again", path, aside.name
        )
        path.replace(aside)


class Rows:
    """Arrays by position, read from mapped shards when they are asked for.

    Args:
        places: (N, 2) int32: number of the shard, and row in it.
        shards: Their files (codec ``arrow``).
        most_open: Shards that stay mapped, the last used; None for all.
    """

    def __init__(self, places: np.ndarray, shards: Sequence[Path], most_open: int | None = None) -> None:
        self._places, self._shards, self._most = places, shards, most_open
        self._open: OrderedDict[int, _Shard] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, position: int) -> np.ndarray:
        number, row = self._places[position].tolist()
        shard = self._open.get(number)
        if shard is None:
            shard = self._open[number] = _Shard(_decode(self._shards[number], "arrow"))
            if self._most is not None and len(self._open) > self._most:
                self._open.popitem(last=False)
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
        value, shape = batch.column("value"), batch.column("shape")
        self.rows = len(value)
        self._offsets, self._flat = value.offsets.to_numpy(), value.values.to_numpy()
        self._dimensions, self._shapes = shape.offsets.to_numpy(), shape.values.to_numpy()

    def __getitem__(self, row: int) -> np.ndarray:
        shape = self._shapes[self._dimensions[row] : self._dimensions[row + 1]]
        return self._flat[self._offsets[row] : self._offsets[row + 1]].reshape(shape)


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


def _stamp(path: Path) -> str | None:
    """Size and time of the last change; None where another process has just set the file aside."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}"


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
