"""One input that braid is given, and what has to become of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Wanted = Literal["refused", "used", "either"]


@dataclass(frozen=True)
class Case:
    """A file, a cell or a column.

    Attributes:
        kind: What reads it: images, audio, texts, tables, manifests or configs.
        name: Unique within its kind.
        content: Bytes of a file; for texts a cell, for tables the cells of a column.
        wanted: ``either`` where nothing in the file says that it is damaged: it may be used as it reads.
        truth: What must come of it where it is used; None where only form is checked.
        tolerance: Largest mean absolute difference from the truth.
        ending: Of the file's name.
    """

    kind: str
    name: str
    content: Any
    wanted: Wanted
    truth: Any = None
    tolerance: float = 0.0
    ending: str = ""


def tenths(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The file cut off at every tenth."""
    for tenth in range(1, 10):
        yield f"cut at {tenth}0 %", data[: len(data) * tenth // 10]


def flipped(data: bytes, times: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """The file with one bit turned, at places spread over it."""
    offsets = np.linspace(0, len(data) - 1, times).astype(int)
    bits = np.random.default_rng(seed).integers(0, 8, times)
    for offset, bit in zip(offsets, bits, strict=True):
        changed = bytearray(data)
        changed[offset] ^= 1 << bit
        yield f"bit {bit} of byte {offset} turned", bytes(changed)


def named(cases: Sequence[Case]) -> list[Case]:
    """The cases, whose names must differ."""
    names = [case.name for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, twice
    return list(cases)
