"""Descriptors of canonical samples: short vectors that are cheap and need no training."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from components.preprocess.pcm import each_packed, unpack

_GREY, _COLOUR = 12, 4  # sides in pixels of the two thumbnails
_BANDS, _PARTS = 24, 6  # of audio, in frequency and in time
_FRAME = 256  # samples of a spectrum
_TOKENS = 512  # buckets of token ids
_CODES = 16  # buckets of a column of categories


def of_image(array: np.ndarray) -> np.ndarray:
    """Flatten a grey and a coloured thumbnail of an image, uint8 (H, W, 3); of several images the mean."""
    if array.ndim == 4:
        return np.mean([of_image(each) for each in array], axis=0)
    image = Image.fromarray(array)
    grey = np.asarray(image.convert("L").resize((_GREY, _GREY), Image.Resampling.BOX), np.float32)
    colour = np.asarray(image.resize((_COLOUR, _COLOUR), Image.Resampling.BOX), np.float32)
    return np.concatenate([grey.ravel(), colour.ravel()])


def of_audio(array: np.ndarray) -> np.ndarray:
    """Compute log energy in bands and parts of packed audio (1 + S,); of several files the mean."""
    if array.ndim == 2:
        return np.mean([of_audio(each) for each in each_packed(array)], axis=0)
    wave = unpack(array)
    wave = np.pad(wave, (0, max(0, _FRAME - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(wave, _FRAME)[:: _FRAME // 2]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(_FRAME)))).astype(np.float32)  # (T, 129)
    edges = np.unique(np.geomspace(1, power.shape[1], _BANDS + 1).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)  # (T, about 20)
    parts = [part.mean(axis=0) if len(part) else bands.mean(axis=0) for part in np.array_split(bands, _PARTS)]
    return np.concatenate([*parts, bands.mean(axis=0), bands.std(axis=0)])


def of_tokens(array: np.ndarray) -> np.ndarray:
    """Count tokens, int32 (T,), in hashed buckets: log counts, scaled to length 1."""
    spread = (array.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    counts = np.log1p(np.bincount((spread % _TOKENS).astype(int), minlength=_TOKENS))
    return (counts / np.linalg.norm(counts)).astype(np.float32)


def of_cells(array: np.ndarray, numeric: int) -> np.ndarray:
    """Describe a row of a table, float32 (2n + c,): n numbers, n flags and c categories."""
    codes = array[2 * numeric :].astype(int)
    one_hot = np.zeros((len(codes), _CODES), np.float32)
    one_hot[np.arange(len(codes)), codes % _CODES] = 1
    return np.concatenate([array[: 2 * numeric], np.square(array[:numeric]), one_hot.ravel()])


def describe(modality: str, arrays: Sequence[np.ndarray], numeric: int = 0) -> np.ndarray:
    """Describe canonical samples, (N, D), with each dimension at mean 0 and deviation 1.

    Args:
        arrays: Canonical samples.
        numeric: Number of numeric columns, for tables.
    """
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "image": of_image,
        "audio": of_audio,
        "text": of_tokens,
        "tabular": lambda array: of_cells(array, numeric),
    }
    return standardised(np.stack([functions[modality](array) for array in arrays]))


def standardised(vectors: np.ndarray) -> np.ndarray:
    """Scale (N, D) to mean 0 and deviation 1 per dimension; a constant dimension becomes 0."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    spread = centred.std(axis=0)
    return centred / np.where(spread > 1e-9, spread, 1.0)
