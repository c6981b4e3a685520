"""The same content in train and in another split: what is measured there is then in part remembered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_NEIGHBOURS = 10
_CLOSER = 0.25  # than the tenth neighbour, and than rows are to their nearest one
_BLOCK = 512  # rows compared at a time


def shared(digests: Sequence[str | None], splits: Sequence[str], other: str) -> tuple[int, int, float]:
    """Rows of a split whose content train has too, rows of it, and the share that chance explains.

    Where contents repeat by themselves (short texts, tables of few categories), a row of train finds its
    content in another row of train just as often: that share is what chance explains.
    """
    there = [digest for digest, split in zip(digests, splits, strict=True) if split == "train" and digest]
    values, counts = np.unique(np.array(there, dtype=object).astype(str), return_counts=True)
    known = set(values.tolist())
    held = [digest for digest, split in zip(digests, splits, strict=True) if split == other and digest]
    by_chance = float(counts[counts > 1].sum() / max(len(there), 1))
    return sum(digest in known for digest in held), len(held), by_chance


def near_pairs(train: NDArray[np.float64], others: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Row of ``others`` and row of ``train`` that are nearly the same.

    Nearly the same is much closer than the tenth neighbour and than neighbours usually are: a picture saved
    again, a sound at another rate. Rows of a class whose members all look alike are not.

    Args:
        train: (N, D) descriptors of distinct contents.
        others: (M, D) of contents that train has not.
    """
    if len(train) <= _NEIGHBOURS or not len(others):
        return []
    found = [_nearest(train, others[start : start + _BLOCK]) for start in range(0, len(others), _BLOCK)]
    first, tenth, place = (np.concatenate(parts) for parts in zip(*found, strict=True))
    near = (first < _CLOSER * tenth) & (first < _CLOSER * np.median(first))
    return [(int(row), int(place[row])) for row in np.flatnonzero(near)]


def _nearest(
    train: NDArray[np.float64], some: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Distance to the nearest and to the tenth row of train, and which is the nearest. (B,) each."""
    squares = (some**2).sum(1)[:, None] - 2 * some @ train.T + (train**2).sum(1)
    order = np.argpartition(squares, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
    nearest = np.sqrt(np.maximum(np.take_along_axis(squares, order, axis=1), 0))
    closest = nearest.argmin(axis=1)
    rows = np.arange(len(some))
    return nearest[rows, closest], nearest.max(axis=1), order[rows, closest]
