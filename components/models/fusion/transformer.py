"""Self-attention over the tokens of all inputs."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.models.fusion.normed import NormedFusion


class Transformer(NormedFusion):
    """A pre-norm transformer encoder over a class token and the tokens of every input.

    Each input gives one token (a vector embedding) or several (a sequence); its name is told by a
    learned vector added to them. An absent input gives one learned missing token.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of tokens and of the fused vector.
        layers: Blocks.
        heads: Attention heads; must divide ``width``.
        dropout: Dropout in every block.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(widths, width)
        if width % heads:
            raise ValueError(f"fusion.heads: {heads} does not divide fusion.width {width}")
        self.projections = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        self.modality = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(width) * 0.02) for name in self.inputs}
        )
        self.missing = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(width) * 0.02) for name in self.inputs}
        )
        self.class_token = nn.Parameter(torch.randn(width) * 0.02)
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        rows = present.shape[0]
        tokens = [self.class_token.expand(rows, 1, -1)]
        real = [present.new_ones(rows, 1)]
        for column, (name, (value, mask)) in enumerate(self.tokens(embeddings, present).items()):
            known = present[:, column].view(-1, 1, 1)
            tokens.append(torch.where(known, value + self.modality[name], self.missing[name]))
            real.append(mask)
        x = self.blocks(torch.cat(tokens, dim=1), src_key_padding_mask=~torch.cat(real, dim=1))
        return self.norm(x[:, 0])
