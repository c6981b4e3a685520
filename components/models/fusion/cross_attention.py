"""Directional cross-modal attention: each input reads every other."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.models.fusion.attention import Block, learned_tokens
from components.models.fusion.normed import NormedFusion


class CrossAttention(NormedFusion):
    """Multimodal transformer, MulT (Tsai et al. 2019, https://arxiv.org/abs/1906.00295, section 3).

    For every ordered pair of inputs a cross-modal transformer: the tokens of the target attend to those
    of the source, in every layer to its projected ("low-level") ones. What a target took from its
    sources goes through self-attention layers; the fused vector is the targets' results side by side.

    Every input's tokens have a learned one in front. Of an absent input only that one is left: the
    others read "nothing there" from it, and it reads them. It also stands for its input in the fused
    vector, where the paper takes the last token, which may be padding. With vector embeddings it
    makes attention a choice between two tokens; between one there would be none.

    Two things are not as in the paper: a target's sources are averaged, not concatenated (the same
    for two inputs; for more, self-attention keeps its width), and blocks are pre-norm with
    the plain residual. Positions are left to the encoders.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length W of tokens.
        layers: Layers of every transformer.
        heads: Attention heads; must divide ``width``.
        dropout: Dropout in every block.

    Shape:
        embeddings: (B, D_m) or (B, T_m, D_m) each; present: (B, M) bool, columns in the order of
        :attr:`inputs`; result: (B, M * W).
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        width: int = 64,
        layers: int = 1,
        heads: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(widths, width * len(widths))
        self.projections = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        self.first = nn.ParameterDict({name: learned_tokens(1, width) for name in self.inputs})
        self.cross = nn.ModuleDict(
            {
                target: nn.ModuleDict(
                    {
                        source: nn.ModuleList(Block(width, heads, dropout, cross=True) for _ in range(layers))
                        for source in self.inputs
                        if source != target
                    }
                )
                for target in self.inputs
            }
        )
        self.own = nn.ModuleDict(
            {name: nn.ModuleList(Block(width, heads, dropout) for _ in range(layers)) for name in self.inputs}
        )
        self.norm = nn.LayerNorm(self.width)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        rows = len(present)
        tokens, real = {}, {}
        for column, (name, (value, mask)) in enumerate(self.tokens(embeddings, present).items()):
            tokens[name] = torch.cat([self.first[name].expand(rows, 1, -1), value], dim=1)  # (B, 1 + T, W)
            real[name] = torch.cat([mask.new_ones(rows, 1), mask & present[:, [column]]], dim=1)
        results = []
        for target in self.inputs:
            streams = []
            for source, blocks in self.cross[target].items():  # type: ignore[operator]
                x = tokens[target]
                for block in blocks:
                    x = block(x, real[source], tokens[source])
                streams.append(x)
            x = torch.stack(streams).mean(dim=0) if streams else tokens[target]
            for block in self.own[target]:  # type: ignore[attr-defined]
                x = block(x, real[target])
            results.append(x[:, 0])
        return self.norm(torch.cat(results, dim=1))
