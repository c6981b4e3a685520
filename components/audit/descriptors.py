"""A few numbers that say roughly what a canonical sample is: cheap, and learned from nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from components.preprocess.pcm import each_packed, unpack

_GREY, _COLOUR = 12, 4  # sides in pixels of the two thumbnails
_BANDS, _PARTS = 24, 6  # of a sound: in frequency, and in time
_FRAME = 256  # samples of a spectrum
_TOKENS = 512  # buckets that token ids are spread over
_CODES = 16  # buckets of a column of categories


def of_image(array: np.ndarray) -> np.ndarray:
    """Grey and coloured thumbnail of uint8 (H, W, 3), or the mean over several."""
    if array.ndim == 4:
        return np.mean([of_image(each) for each in array], axis=0)
    image = Image.fromarray(array)
    grey = np.asarray(image.convert("L").resize((_GREY, _GREY), Image.Resampling.BOX), np.float32)
    colour = np.asarray(image.resize((_COLOUR, _COLOUR), Image.Resampling.BOX), np.float32)
    return np.concatenate([grey.ravel(), colour.ravel()])


def of_audio(array: np.ndarray) -> np.ndarray:
    """Logarithmic energy in bands and parts of a packed sound (1 + S,), or the mean over several."""
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
    """How often each token stands in int32 (T,), dampened, at length 1."""
    spread = (array.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    counts = np.log1p(np.bincount((spread % _TOKENS).astype(int), minlength=_TOKENS))
    return (counts / np.linalg.norm(counts)).astype(np.float32)


def of_cells(array: np.ndarray, numeric: int) -> np.ndarray:
    """Numbers, flags and categories of float32 (2n + c,), of which n are numbers."""
    codes = array[2 * numeric :].astype(int)
    shown = np.zeros((len(codes), _CODES), np.float32)
    shown[np.arange(len(codes)), codes % _CODES] = 1
    return np.concatenate([array[: 2 * numeric], np.square(array[:numeric]), shown.ravel()])


def describe(modality: str, arrays: Sequence[np.ndarray], numeric: int = 0) -> np.ndarray:
    """Descriptors (N, D) of canonical samples, each dimension at mean 0 and deviation 1."""
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "image": of_image,
        "audio": of_audio,
        "text": of_tokens,
        "tabular": lambda array: of_cells(array, numeric),
    }
    return standardised(np.stack([ways[modality](array) for array in arrays]))


def standardised(vectors: np.ndarray) -> np.ndarray:
    """(N, D) with every dimension at mean 0 and deviation 1; one that is the same in all rows at 0."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    spread = centred.std(axis=0)
    return centred / np.where(spread > 1e-9, spread, 1.0)
