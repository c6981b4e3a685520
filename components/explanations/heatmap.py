"""Colours of effects: green argued for the prediction, red against it; strong effects are more opaque."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from components.evaluation.style import GREEN, RED

_MOST = 0.7  # opacity of the strongest effect
_SIDE = 160  # pixels that the longer side of a grid is smoothed to
_FOR, _AGAINST = ([round(255 * part) for part in to_rgb(colour)] for colour in (GREEN, RED))


def tint(effect: float, strongest: float) -> str:
    """Make the CSS colour of one effect; transparent where no part has an effect."""
    share = abs(effect / strongest) if strongest else 0.0
    red, green, blue = _FOR if effect > 0 else _AGAINST
    return f"rgb({red} {green} {blue} / {_MOST * share:.2f})"


def overlay(grid: Sequence[Sequence[float]], strongest: float) -> np.ndarray:
    """Draw the effects of a grid as a smoothed image to lay over another: uint8 (H, W, 4)."""
    values = np.array(grid, dtype=np.float32) / (abs(strongest) or 1.0)
    rows, columns = values.shape
    scale = _SIDE / max(rows, columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    smooth = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))
    layer = np.empty((*smooth.shape, 4), np.uint8)
    layer[..., :3] = np.where((smooth > 0)[..., None], _FOR, _AGAINST)
    layer[..., 3] = np.clip(np.abs(smooth) * 255 * _MOST, 0, 255)
    return layer


def overlay_png(grid: Sequence[Sequence[float]], strongest: float) -> bytes:
    """Encode the overlay of a grid as a PNG."""
    file = io.BytesIO()
    Image.fromarray(overlay(grid, strongest)).save(file, "PNG", optimize=True)
    return file.getvalue()
