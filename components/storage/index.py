"""Where the rows of a store are, in 24 bytes a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

_BYTES = 16  # of a key: components/storage/digest.py
_BLOCK = 65536  # keys


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
        self._added.append(_packed(keys))

    def find(self, keys: Sequence[str]) -> np.ndarray:
        """Number of the shard and row of each key, -1 for one that is not there. (N, 2) int32."""
        self._settle()
        places = np.full((len(keys), 2), -1, np.int32)
        if len(self._keys):
            for start in range(0, len(keys), _BLOCK):
                wanted = _packed(keys[start : start + _BLOCK])
                found = np.searchsorted(self._keys, wanted)
                there = self._keys[np.minimum(found, len(self._keys) - 1)] == wanted
                places[start : start + len(wanted)][there] = self._places[found[there]]
        return places

    def absent(self, keys: Sequence[str]) -> np.ndarray:
        """Positions of the keys that are not there, each key once, where it first stands. (n,) int64."""
        missing = np.flatnonzero(self.find(keys)[:, 0] < 0)
        packed = np.concatenate([np.empty(0, f"S{_BYTES}"), *_blocks(keys, missing)])
        _, first = np.unique(packed, return_index=True)
        first.sort()
        return missing[first]

    def _settle(self) -> None:
        if not self._added:
            return
        number = len(self.shards) - len(self._added)
        places = [
            np.stack([np.full(len(keys), number + later), np.arange(len(keys))], axis=1)
            for later, keys in enumerate(self._added)
        ]
        keys = np.concatenate([self._keys, *self._added])
        whole = np.concatenate([self._places, *places]).astype(np.int32)
        self._added.clear()
        order = np.argsort(keys, kind="stable")
        last = np.append(keys[order[1:]] != keys[order[:-1]], True)[: len(order)]  # of equal ones the newest
        self._keys, self._places = keys[order[last]], whole[order[last]]


def _blocks(keys: Sequence[str], positions: np.ndarray) -> Iterator[np.ndarray]:
    """Packed keys at ascending positions."""
    for start in range(0, len(keys), _BLOCK):
        first, last = np.searchsorted(positions, [start, start + _BLOCK])
        if first < last:
            yield _packed(keys[start : start + _BLOCK])[positions[first:last] - start]


def _packed(keys: Sequence[str]) -> np.ndarray:
    """Digests as bytes, (N,).

    Raises:
        ValueError: If one is not a digest.
    """
    keys = list(keys)
    packed = bytes.fromhex("".join(keys))
    if len(packed) != _BYTES * len(keys) or any(len(key) != 2 * _BYTES for key in keys):
        raise ValueError(f"a key is a digest of {2 * _BYTES} hexadecimal digits; found {keys[:3]}")
    return np.frombuffer(packed, f"S{_BYTES}")
