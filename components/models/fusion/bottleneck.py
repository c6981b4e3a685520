"""Attention bottlenecks: inputs talk to each other through a few shared tokens."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.models.fusion.attention import Block, learned_tokens
from components.models.fusion.normed import NormedFusion


class Bottleneck(NormedFusion):
    """Multimodal bottleneck transformer (Nagrani et al. 2021, https://arxiv.org/abs/2107.00135).

    Section 3, "Fusion via attention bottlenecks": every input has transformer layers of its own over
    its class token, its tokens and the bottleneck tokens, ``[z_m; f_m] = layer_m([z_m; f])``, and after
    each layer the bottlenecks become the mean of what the inputs made of them,
    ``f = mean_m f_m``. All that one input learns of another goes through f. What is known in one layer
    is read in the next, so it takes two.

    An absent input has no part in either mean. The paper averages the logits of the class tokens
    through one shared classifier; the head is linear, so averaging the class tokens is the same.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of tokens and of the fused vector.
        layers: Transformer layers of each input, 2 or more.
        bottlenecks: Number of bottleneck tokens.
        heads: Attention heads; must divide ``width``.
        dropout: Dropout in every block.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        width: int = 64,
        layers: int = 2,
        bottlenecks: int = 4,
        heads: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(widths, width)
        self.projections = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        self.class_tokens = nn.ParameterDict({name: learned_tokens(1, width) for name in self.inputs})
        self.bottlenecks = learned_tokens(bottlenecks, width)
        self.layers = nn.ModuleList(
            nn.ModuleDict({name: Block(width, heads, dropout) for name in self.inputs}) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        rows, count = len(present), len(self.bottlenecks)
        shared = self.bottlenecks.expand(rows, -1, -1)  # (B, F, W)
        streams, real = {}, {}
        for name, (value, mask) in self.tokens(embeddings, present).items():
            streams[name] = torch.cat([self.class_tokens[name].expand(rows, 1, -1), value], dim=1)
            real[name] = torch.cat([mask.new_ones(rows, 1), mask, mask.new_ones(rows, count)], dim=1)
        for layer in self.layers:
            gathered = []
            for name, block in layer.items():  # type: ignore[operator]
                x = block(torch.cat([streams[name], shared], dim=1), real[name])
                streams[name], exchanged = x[:, :-count], x[:, -count:]
                gathered.append(exchanged)
            shared = _mean_of_present(gathered, present)
        first = [self.norm(streams[name][:, 0]) for name in self.inputs]
        return _mean_of_present(first, present)


def _mean_of_present(values: list[Tensor], present: Tensor) -> Tensor:
    """Mean over the inputs present of (B, ...) each."""
    stacked = torch.stack(values, dim=1)  # (B, M, ...)
    share = present / present.sum(1, keepdim=True).clamp(min=1)
    return (stacked * share.view(*share.shape, *[1] * (stacked.dim() - 2))).sum(dim=1)
