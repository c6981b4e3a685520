"""Perceiver: a few latent vectors read the tokens of all inputs."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.models.fusion.attention import Block, learned_tokens
from components.models.fusion.normed import NormedFusion


class Perceiver(NormedFusion):
    """Perceiver (Jaegle et al. 2021, https://arxiv.org/abs/2103.03206, section 3.1).

    Learned latents attend to the tokens of all inputs (cross-attention), then to each other
    (self-attention), ``layers`` times; the fused vector is their mean. The cost grows with the number
    of tokens, not with its square. An input's name is told by a learned vector added to its tokens.
    Tokens of absent inputs are masked.

    Tokens are projected to the width of the latents; the paper gives both their own widths.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of latents and of the fused vector.
        layers: Pairs of cross-attention and self-attention, each with weights of its own.
        latents: Number of latents.
        heads: Attention heads; must divide ``width``.
        dropout: Dropout in every block.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        width: int = 64,
        layers: int = 2,
        latents: int = 8,
        heads: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(widths, width)
        self.projections = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        self.modality = nn.ParameterDict({name: learned_tokens(1, width) for name in self.inputs})
        self.latents = learned_tokens(latents, width)
        self.reading = nn.ModuleList(Block(width, heads, dropout, cross=True) for _ in range(layers))
        self.thinking = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        tokens, real = [], []
        for column, (name, (value, mask)) in enumerate(self.tokens(embeddings, present).items()):
            tokens.append(value + self.modality[name])
            real.append(mask & present[:, [column]])
        context, seen = torch.cat(tokens, dim=1), torch.cat(real, dim=1)
        x = self.latents.expand(len(present), -1, -1)  # (B, L, W)
        every = present.new_ones(x.shape[:2])
        for read, think in zip(self.reading, self.thinking, strict=True):
            x = think(read(x, seen, context), every)
        return self.norm(x.mean(dim=1))
