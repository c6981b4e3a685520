"""The network that brings all inputs into one space."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.config.alignment import AlignmentConfig
from components.models.fusion.masking import as_vector, hide_absent


class Aligned(nn.Module):
    """A projection of each input: normalised, through a hidden layer or none, to the shared width.

    Args:
        widths: Length of each input's embedding.
        config: Width and hidden units.

    Shape:
        embeddings: (B, D_m) or (B, T_m, D_m) each, T_m tokens averaged; present: (B, M) bool; result:
        (B, M, width), inputs in sorted order, zeros where one is absent. Cosines of the result are
        similarities.

    Example:
        >>> aligned = Aligned({"image": 8, "audio": 4}, AlignmentConfig(width=2))
        >>> embeddings = {"image": torch.zeros(3, 8), "audio": torch.zeros(3, 4)}
        >>> aligned(embeddings, torch.ones(3, 2, dtype=torch.bool)).shape
        torch.Size([3, 2, 2])
    """

    def __init__(self, widths: Mapping[str, int], config: AlignmentConfig) -> None:
        super().__init__()
        self.inputs = tuple(sorted(widths))
        self.width, self.depth = config.width, 3 if config.hidden else 1  # of the last layer of a head
        self.heads = nn.ModuleDict({name: _head(widths[name], config) for name in self.inputs})

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        hidden = hide_absent(embeddings, present, self.inputs)
        outputs = torch.stack([self.heads[name](as_vector(hidden[name])) for name in self.inputs], dim=1)
        return torch.where(present.unsqueeze(2), outputs, 0.0)

    def unit(self, name: str, embedding: Tensor) -> Tensor:
        """Project an input's embeddings (B, D) or (B, T, D) to unit vectors (B, width)."""
        return F.normalize(self.heads[name](as_vector(embedding)), dim=1)

    @torch.no_grad()
    def turn(self, maps: Tensor, centres: Tensor) -> None:
        """Put linear maps (M, W, W) behind the projections, whose centres (M, W) are taken off first."""
        for column, name in enumerate(self.inputs):
            last = self.heads.get_submodule(f"{name}.{self.depth}")
            assert isinstance(last, nn.Linear)
            last.bias.copy_((last.bias - centres[column]) @ maps[column])
            last.weight.copy_(maps[column].T @ last.weight)


def _head(width: int, config: AlignmentConfig) -> nn.Sequential:
    if not config.hidden:
        return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.width))
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, config.hidden),
        nn.GELU(),
        nn.Linear(config.hidden, config.width),
    )
