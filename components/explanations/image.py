"""Regions of a picture: each covered by the picture's own mean colour."""

from __future__ import annotations

import io
from math import isqrt
from typing import Any

import numpy as np
from PIL import Image

from components.explanations.parts import Score, occlude
from components.explanations.results import Inside
from components.preprocess import Preprocessor

_SIDE = 240  # pixels of the picture that is shown


def explain_image(score: Score, preprocessor: Preprocessor, value: Any, detail: int) -> Inside:
    """Effects of square regions, on the picture as the model sees it.

    Args:
        score: Of the row.
        preprocessor: Of the input.
        value: Path, URL or bytes.
        detail: Most regions: 64 are 8 × 8.
    """
    pixels = preprocessor.canonical(value)  # (H, W, 3) uint8
    side = min(isqrt(detail), len(pixels))
    mean = pixels.mean((0, 1)).round().astype(np.uint8)
    place = np.arange(len(pixels)) * side // len(pixels)  # of each row and column of pixels in the grid

    def hide(kept: np.ndarray) -> np.ndarray:
        return np.where(kept[place][:, place, None], pixels, mean)

    grid = occlude(score, hide, side, side)
    return Inside("image", grid=tuple(map(tuple, grid.tolist())), picture=png(pixels))


def png(pixels: np.ndarray) -> bytes:
    """A picture, uint8 (H, W, 3) or (H, W), of at most 240 pixels a side."""
    image, file = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((_SIDE, _SIDE))
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
