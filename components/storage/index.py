"""Positions of the rows of a store, in 24 bytes per row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa

from components.storage.atomic import replacing

_BYTES = 16  # of a key: components/storage/digest.py
_BLOCK = 65536  # keys


class Digests(Sequence[str]):
    """Digests in 16 bytes each; as text where they are looked at.

    Args:
        values: (N,) of 16 bytes.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @classmethod
    def of(cls, parts: Iterable[Sequence[str]]) -> Digests:
        """All digests of some lists of them."""
        return cls(np.concatenate([np.empty(0, f"S{_BYTES}"), *map(packed, parts)]))

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self.values), _BLOCK):
            text = self.values[start : start + _BLOCK].tobytes().hex()
            yield from (text[first : first + 2 * _BYTES] for first in range(0, len(text), 2 * _BYTES))

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice | np.ndarray) -> Digests: ...
    def __getitem__(self, position: Any) -> Any:
        """One digest, or those of a slice or at positions (n,)."""
        if isinstance(position, slice | np.ndarray):
            return Digests(self.values[position])
        return self.values[range(len(self))[position] :][:1].tobytes().hex()


class ShardIndex:
    """Shard and row by key. A key that several shards have is found in the last that was added."""

    def __init__(self) -> None:
        self.shards: list[Path] = []
        self._keys = np.empty(0, f"S{_BYTES}")  # sorted
        self._places = np.empty((0, 2), np.int32)  # number of the shard, row
        self._added: list[np.ndarray] = []  # keys of the newest shards, not sorted in yet

    def add(self, shard: Path, keys: Sequence[str]) -> None:
        """Take up a shard with these keys."""
        self.shards.append(shard)
        self._added.append(packed(keys))

    def find(self, keys: Sequence[str]) -> np.ndarray:
        """Number of the shard and row of each key, -1 for one that is not known. (N, 2) int32."""
        self._settle()
        places = np.full((len(keys), 2), -1, np.int32)
        if len(self._keys):
            for start in range(0, len(keys), _BLOCK):
                wanted = packed(keys[start : start + _BLOCK])
                positions = np.searchsorted(self._keys, wanted)
                known = self._keys[np.minimum(positions, len(self._keys) - 1)] == wanted
                places[start : start + len(wanted)][known] = self._places[positions[known]]
        return places

    def absent(self, keys: Sequence[str]) -> np.ndarray:
        """Positions of the keys that are not there, each key once, where it first stands. (n,) int64."""
        missing = np.flatnonzero(self.find(keys)[:, 0] < 0)
        lacking = np.concatenate([np.empty(0, f"S{_BYTES}"), *_blocks(keys, missing)])
        _, first = np.unique(lacking, return_index=True)
        first.sort()
        return missing[first]

    def save(self, file: Path, stamps: Mapping[str, str]) -> None:
        """Write all that is known.

        Args:
            file: Whole or not at all.
            stamps: Size and time of change of each shard, by its name, when it was last checked.
        """
        self._settle()
        keys = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(_BYTES), len(self._keys), [None, pa.py_buffer(np.ascontiguousarray(self._keys))]
        )
        columns = [keys, pa.array(self._places[:, 0]), pa.array(self._places[:, 1])]
        shards = json.dumps([[shard.name, stamps[shard.name]] for shard in self.shards])
        table = pa.table(columns, ["key", "shard", "row"]).replace_schema_metadata({"shards": shards})
        with replacing(file) as temporary, pa.ipc.new_file(temporary, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, file: Path, stamps: Mapping[str, str]) -> ShardIndex:
        """Index that was written, for the shards that are unchanged since.

        Args:
            file: Need not exist; a damaged one counts as none.
            stamps: Of the shards that are there now, by name.
        """
        index = cls()
        try:
            table = pa.ipc.open_file(file).read_all().combine_chunks()
            shards = json.loads((table.schema.metadata or {})[b"shards"])
            if len(table):
                index._keys = np.frombuffer(table.column("key").chunk(0).buffers()[1], f"S{_BYTES}")
        except (OSError, pa.ArrowException, KeyError, ValueError):
            return index
        unchanged = [stamps.get(name) == stamp for name, stamp in shards]
        index.shards = [
            file.parent / name for (name, _), valid in zip(shards, unchanged, strict=True) if valid
        ]
        if len(table):
            places = np.stack([table.column("shard").to_numpy(), table.column("row").to_numpy()], axis=1)
            valid = np.array(unchanged)[places[:, 0]]
            number = np.cumsum(unchanged, dtype=np.int32) - 1
            places[:, 0] = number[places[:, 0]]
            index._keys, index._places = index._keys[valid], places[valid]
        return index

    def _settle(self) -> None:
        if not self._added:
            return
        number = len(self.shards) - len(self._added)
        sizes = [len(keys) for keys in self._added]
        places = np.empty((sum(sizes), 2), np.int32)
        places[:, 0] = np.repeat(np.arange(number, len(self.shards), dtype=np.int32), sizes)
        places[:, 1] = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
        places = np.concatenate([self._places, places])
        keys = np.concatenate([self._keys, *self._added])
        self._added.clear()
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        last = np.append(keys[1:] != keys[:-1], True)[: len(keys)]  # of equal ones the newest
        self._keys, self._places = keys[last], places[order[last]]


def _blocks(keys: Sequence[str], positions: np.ndarray) -> Iterator[np.ndarray]:
    """Packed keys at ascending positions."""
    for start in range(0, len(keys), _BLOCK):
        first, last = np.searchsorted(positions, [start, start + _BLOCK])
        if first < last:
            yield packed(keys[start : start + _BLOCK])[positions[first:last] - start]


def packed(keys: Sequence[str]) -> np.ndarray:
    """Digests as bytes, (N,).

    Raises:
        ValueError: If one is not a digest.
    """
    if isinstance(keys, Digests):
        return keys.values
    keys = list(keys)
    data = bytes.fromhex("".join(keys))
    if len(data) != _BYTES * len(keys) or any(len(key) != 2 * _BYTES for key in keys):
        raise ValueError(f"a key is a digest of {2 * _BYTES} hexadecimal digits; found {keys[:3]}")
    return np.frombuffer(data, f"S{_BYTES}")
