"""Sounds in 16 bits a sample, half of what float32 takes: an exponent, then the samples.

The exponent makes the most of the bits for quiet sounds too (block floating point): the error is at most
2^-15 of the peak, 90 dB below it. What 16-bit files hold is not changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

_BITS = 15  # besides the sign
_QUIETEST = -126  # exponent of the smallest normal float32
_BASE = 2**15  # of a length in two numbers


def pack(wave: np.ndarray) -> np.ndarray:
    """int16 (1 + S,) of a sound float32 (S,) in [-1, 1]."""
    peak = float(max(wave.max(), -wave.min())) if len(wave) else 0.0
    exponent = min(0, max(_QUIETEST, int(np.frexp(peak)[1]))) if peak else 0
    scaled = np.ldexp(wave, _BITS - exponent)
    np.rint(scaled, out=scaled)
    packed = np.empty(1 + len(wave), np.int16)
    packed[0] = exponent
    np.clip(scaled, -(2**_BITS), 2**_BITS - 1, out=packed[1:], casting="unsafe")
    return packed


def unpack(packed: np.ndarray) -> np.ndarray:
    """The sound float32 (S,) that :func:`pack` was given, or its nearest in 16 bits."""
    return packed[1:] * np.float32(2.0 ** (int(packed[0]) - _BITS))


def pack_several(sounds: Sequence[np.ndarray]) -> np.ndarray:
    """int16 (n, 3 + S): packed sounds of any lengths, each behind its length in two numbers, then zeros."""
    longest = max(map(len, sounds))
    rows = np.zeros((len(sounds), 2 + longest), np.int16)
    for row, packed in zip(rows, sounds, strict=True):
        row[:2] = divmod(len(packed), _BASE)
        row[2 : 2 + len(packed)] = packed
    return rows


def each_packed(row: np.ndarray) -> Iterator[np.ndarray]:
    """The packed sounds of a row: of one (1 + S,), or of several as :func:`pack_several` made it."""
    if row.ndim == 1:
        yield row
    else:
        for item in row:
            yield item[2 : 2 + int(item[0]) * _BASE + int(item[1])]
