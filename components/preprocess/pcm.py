"""Audio in 16 bits per sample, half of the size of float32: an exponent, then the samples.

The exponent makes the most of the bits for quiet clips too (block floating point): the error is at most
2^-15 of the peak, 90 dB below it. Samples of 16-bit files are not changed.
"""

from collections.abc import Iterator, Sequence

import numpy as np

_BITS = 15  # besides the sign
_QUIETEST = -126  # exponent of the smallest normal float32
_BASE = 2**15  # of a length in two numbers


def pack(wave: np.ndarray) -> np.ndarray:
    """Pack audio float32 (S,) in [-1, 1] as int16 (1 + S,)."""
    peak = float(max(wave.max(), -wave.min())) if len(wave) else 0.0
    exponent = min(0, max(_QUIETEST, int(np.frexp(peak)[1]))) if peak else 0
    scaled = np.ldexp(wave, _BITS - exponent)
    np.rint(scaled, out=scaled)
    packed = np.empty(1 + len(wave), np.int16)
    packed[0] = exponent
    np.clip(scaled, -(2**_BITS), 2**_BITS - 1, out=packed[1:], casting="unsafe")
    return packed


def unpack(packed: np.ndarray) -> np.ndarray:
    """Give the audio float32 (S,) that :func:`pack` was given, or its nearest in 16 bits."""
    return packed[1:] * np.float32(2.0 ** (int(packed[0]) - _BITS))


def pack_several(clips: Sequence[np.ndarray]) -> np.ndarray:
    """Stack packed clips as int16 (n, 3 + S): of each its length in two numbers, the clip, then zeros."""
    longest = max(map(len, clips))
    rows = np.zeros((len(clips), 2 + longest), np.int16)
    for row, packed in zip(rows, clips, strict=True):
        row[:2] = divmod(len(packed), _BASE)
        row[2 : 2 + len(packed)] = packed
    return rows


def each_packed(row: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the packed clips of a row: one (1 + S,), or several as :func:`pack_several` stacked them."""
    if row.ndim == 1:
        yield row
    else:
        for item in row:
            yield item[2 : 2 + int(item[0]) * _BASE + int(item[1])]
