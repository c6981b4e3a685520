"""Convolutional network for images, from scratch."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.models.encoders.protocol import Encoder

_GRID = 2  # side of the map that is flattened: keeps what is above, below, left and right apart
_MOST_CELLS = 8  # side of the map that is given as tokens
_SMALLEST = 3  # a map is halved while its side stays at least this
_LARGEST = 16  # side at which the last block may work; larger images are halved on entry


def groups(channels: int, most: int = 8) -> int:
    """Largest number of groups up to `most` that divides `channels`, for nn.GroupNorm."""
    return next(n for n in range(most, 0, -1) if channels % n == 0)


def scale_pixels(pixels: Tensor) -> Tensor:
    """uint8 (B, 3, H, W) to float in [-1, 1], in channels_last order, which convolutions are faster in."""
    return (pixels.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def entry_stride(size: int, halvings: int) -> int:
    """Stride of the first convolution, so that the last map of a large image is not too large."""
    return next(s for s in (1, 2, 4, 8) if size // (s * 2**halvings) <= _LARGEST or s == 8)


def cells(x: Tensor) -> Tensor:
    """Cells of a map (B, C, h, w) as tokens (B, T, C), row by row; a large map is first averaged to 8 x 8."""
    height, width = (min(side, _MOST_CELLS) for side in x.shape[2:])
    return F.adaptive_avg_pool2d(x, (height, width)).flatten(2).transpose(1, 2)


class CNN(Encoder):
    """Blocks of two convolutions and a pooling, a 2 x 2 grid, a projection.

    As tokens each cell of the last map is projected, up to 8 x 8 of them.

    Normalisation is by groups of channels (Wu & He 2018, arXiv:1803.08494): it treats each row on its own,
    so small batches train as well as large ones and there are no running statistics to go stale.

    Args:
        width: length D of the embedding.
        channels: channels of each block.
        size: side of the images in pixels, from 8; another size than this works too, only less well.
        dropout: share of values zeroed before the projection.
        tokens: give a sequence of tokens (B, T, D).

    Example:
        >>> pixels = torch.zeros(5, 3, 28, 28, dtype=torch.uint8)
        >>> CNN(64, [32, 64], size=28, dropout=0.3)({"pixels": pixels}).shape
        torch.Size([5, 64])
    """

    def __init__(
        self, width: int, channels: list[int], size: int, dropout: float, tokens: bool = False
    ) -> None:
        super().__init__(width, tokens)
        stride = entry_stride(size, len(channels))
        side = size // stride
        layers: list[nn.Module] = []
        before = 3
        for i, after in enumerate(channels):
            layers += [
                nn.Conv2d(before, after, 3, stride=stride if i == 0 else 1, padding=1, bias=False),
                nn.GroupNorm(groups(after), after),
                nn.GELU(),
                nn.Conv2d(after, after, 3, padding=1, groups=1, bias=False),
                nn.GroupNorm(groups(after), after),
                nn.GELU(),
            ]
            if side // 2 >= _SMALLEST:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            before = after
        self.blocks = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pool = nn.AdaptiveAvgPool2d(_GRID)
        flat: nn.Module = nn.Identity() if tokens else nn.Flatten()
        inner = before if tokens else before * _GRID**2
        self.project = nn.Sequential(flat, nn.Dropout(dropout), nn.Linear(inner, width))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Pixels uint8 (B, 3, H, W) to (B, D), or tokens (B, T, D)."""
        x = self.blocks(scale_pixels(batch["pixels"]))  # (B, C, h, w)
        embedding: Tensor = self.project(cells(x) if self.tokens else self.pool(x))
        return embedding
