"""Residual network for images, from scratch (He et al. 2016, arXiv:1512.03385), sized for small ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.models.encoders.cnn import cells, entry_stride, groups, scale_pixels
from components.models.encoders.protocol import Encoder


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a shortcut around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(groups(after), after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(groups(after), after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            # Pooling before the 1 x 1 convolution, not a stride in it, loses nothing (He et al. 2019,
            # arXiv:1812.01187, ResNet-D); strided, oneDNN corrupts memory at 8 channels (torch 2.13).
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(before, after, 1, bias=False),
                nn.GroupNorm(groups(after), after),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, H / stride, W / stride)."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(Encoder):
    """A stem, stages of residual blocks that each halve the map (but the first), mean over the map.

    As tokens each cell of the last map is projected, up to 8 x 8 of them.

    Args:
        width: length D of the embedding.
        channels: channels of each stage.
        blocks: residual blocks in each stage.
        size: side of the images in pixels, from 8; another size than this works too, only less well.
        dropout: share of values zeroed before the projection.
        tokens: give a sequence of tokens (B, T, D).
    """

    def __init__(
        self,
        width: int,
        channels: list[int],
        blocks: int,
        size: int,
        dropout: float,
        tokens: bool = False,
    ) -> None:
        super().__init__(width, tokens)
        stride = entry_stride(size, len(channels) - 1)
        layers: list[nn.Module] = [
            nn.Conv2d(3, channels[0], 3, stride=stride, padding=1, bias=False),
            nn.GroupNorm(groups(channels[0]), channels[0]),
            nn.ReLU(),
        ]
        before = channels[0]
        for i, after in enumerate(channels):
            for j in range(blocks):
                layers.append(ResidualBlock(before, after, stride=2 if i > 0 and j == 0 else 1))
                before = after
        self.stages = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.project = nn.Sequential(nn.Dropout(dropout), nn.Linear(before, width))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Pixels uint8 (B, 3, H, W) to (B, D), or tokens (B, T, D)."""
        x = self.stages(scale_pixels(batch["pixels"]))  # (B, C, h, w)
        embedding: Tensor = self.project(cells(x) if self.tokens else x.mean((2, 3)))
        return embedding
