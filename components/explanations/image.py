"""Effects of the regions of an image, each covered by the image's own mean colour."""

import io
from collections.abc import Mapping
from math import isqrt
from typing import Any

import numpy as np
from PIL import Image

from components.explanations.media import explain_media
from components.explanations.parts import Score, occlude, taken_away
from components.explanations.results import Heatmap, Inside
from components.preprocess import Preprocessor

_SIDE = 240  # pixels of the image that is shown


def explain_image(score: Score, preprocessor: Preprocessor, cells: Mapping[str, Any], detail: int) -> Inside:
    """Find the effects of square regions, on the images as the model sees them.

    Args:
        cells: Path, URL or bytes by column; None where a cell is empty.
        detail: Most regions: 64 are 8 × 8 of one image, or 4 × 4 of each of four.
    """
    return explain_media(score, preprocessor, cells, detail, "image", _heatmap)


def _heatmap(score: Score, column: str, pixels: np.ndarray, detail: int) -> Heatmap:
    """Cover regions of pixels, uint8 (H, W, 3)."""
    side = min(isqrt(detail), len(pixels))
    mean = pixels.mean((0, 1)).round().astype(np.uint8)
    region = np.arange(len(pixels)) * side // len(pixels)  # (H,): row or column of the grid per pixel

    def hide(mask: np.ndarray) -> np.ndarray:
        return np.where(mask[region][:, region, None], pixels, mean)

    grid = occlude(score, hide, side, side)
    return Heatmap(column, taken_away(score, pixels), tuple(map(tuple, grid.tolist())), png(pixels))


def png(pixels: np.ndarray) -> bytes:
    """Encode pixels, uint8 (H, W, 3) or (H, W), with at most 240 per side."""
    image, file = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((_SIDE, _SIDE))
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
