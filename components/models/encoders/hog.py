"""Histograms of oriented gradients and of colours, without anything to train."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from components.models.encoders.protocol import Encoder

_ORIENTATIONS = 9
_CELLS = (4, 8)  # cells along a side, coarse and fine
_COLOURS = 4  # levels of each of red, green and blue
_GRID = 4  # side of the grid of mean colours
_HYSTERESIS = 0.2
_DARK = 1e-2  # length below which a histogram counts as empty


class Hog(Encoder):
    """Histograms of oriented gradients at two sizes of cells, beside colours.

    Gradients of the channel that changes most fall into 9 orientations. Cells form overlapping blocks of
    2 x 2, each normalised, clipped and normalised again. After Dalal & Triggs 2005
    (https://doi.org/10.1109/CVPR.2005.177), with cells as shares of the image. Colours are a joint histogram,
    and mean and deviation on a grid. Each kind has a squared length of 1 at most, so that none outweighs
    the others in a distance.
    """

    def __init__(self) -> None:
        blocks = sum((cells - 1) ** 2 for cells in _CELLS)
        super().__init__(4 * _ORIENTATIONS * blocks + _COLOURS**3 + 6 * _GRID**2)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Pixels uint8 (B, 3, H, W) to (B, D)."""
        pixels = batch["pixels"]
        with torch.autocast(pixels.device.type, enabled=False):
            x = pixels.float() / 255
            return torch.cat([*_gradients(x), *_colours(x)], dim=1)


def _gradients(x: Tensor) -> list[Tensor]:
    """Histograms (B, 36 * blocks) of images (B, 3, H, W), one for each size of cells."""
    padded = F.pad(x.sqrt(), (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]  # (B, 3, H, W)
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    strongest = (across.square() + down.square()).argmax(1, keepdim=True)
    across, down = across.gather(1, strongest), down.gather(1, strongest)  # (B, 1, H, W)
    angle = torch.atan2(down, across) / math.pi * _ORIENTATIONS  # of 9 bins, without direction
    bins = torch.arange(_ORIENTATIONS, device=x.device).view(1, -1, 1, 1)
    apart = ((angle - bins) / _ORIENTATIONS).sub_(((angle - bins) / _ORIENTATIONS).round()) * _ORIENTATIONS
    votes = (1 - apart.abs()).clamp(min=0) * torch.hypot(across, down)  # (B, 9, H, W), two bins at most
    histograms = []
    for cells in _CELLS:
        blocks = F.unfold(F.adaptive_avg_pool2d(votes, cells), 2)  # (B, 36, L)
        blocks = F.normalize(blocks, dim=1, eps=_DARK).clamp(max=_HYSTERESIS)
        blocks = F.normalize(blocks, dim=1, eps=_DARK)
        histograms.append(blocks.flatten(1) / math.sqrt(blocks.shape[2]))
    return histograms


def _colours(x: Tensor) -> list[Tensor]:
    """Histogram (B, 64), mean and deviation (B, 48) each of images (B, 3, H, W)."""
    levels = torch.arange(_COLOURS, device=x.device).view(1, 1, -1, 1)
    shares = (1 - (x.flatten(2).unsqueeze(2) * (_COLOURS - 1) - levels).abs()).clamp(min=0)  # (B, 3, 4, P)
    red, green, blue = shares.unbind(1)
    pairs = (red.unsqueeze(2) * green.unsqueeze(1)).flatten(1, 2)  # (B, 16, P)
    histogram = (pairs @ blue.transpose(1, 2) / blue.shape[2]).flatten(1)  # (B, 64), of sum 1
    mean = F.adaptive_avg_pool2d(x, _GRID)
    deviation = (F.adaptive_avg_pool2d(x.square(), _GRID) - mean.square()).clamp(min=0).sqrt()
    parts = [mean.flatten(1), deviation.flatten(1)]
    return [histogram.sqrt(), *(part / math.sqrt(part.shape[1]) for part in parts)]
