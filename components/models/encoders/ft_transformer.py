"""Feature-tokenizer transformer for tables (Gorishniy et al. 2021, arXiv:2106.11959)."""

import torch
from torch import Tensor, nn

from components.models.encoders.mlp import CategoryTable
from components.models.encoders.protocol import Encoder
from components.models.encoders.text_transformer import transformer_blocks


class FTTransformer(Encoder):
    """Every column becomes a token (section 3.3); the embedding is what the class token gathers.

    As tokens the class token comes first, then one per column.

    Args:
        width: length D of the embedding and of every token.
        numeric: number n of numeric columns.
        cardinalities: number of codes of each category column, code 0 included.
        layers: transformer blocks.
        heads: attention heads; must divide `width`.
        dropout: share of values zeroed in every block.
        tokens: give a sequence of tokens (B, 1 + n + c, D).

    Raises:
        ValueError: `heads` does not divide `width`.
    """

    def __init__(
        self,
        width: int,
        numeric: int,
        cardinalities: list[int],
        layers: int,
        heads: int,
        dropout: float,
        tokens: bool = False,
    ) -> None:
        super().__init__(width, tokens)
        self.numeric = numeric
        columns = numeric + len(cardinalities)
        bound = width**-0.5
        self.scale = nn.Parameter(torch.empty(numeric, width).uniform_(-bound, bound)) if numeric else None
        self.absent = nn.Parameter(torch.zeros(numeric, width)) if numeric else None
        self.categories = CategoryTable(cardinalities, width) if cardinalities else None
        self.bias = nn.Parameter(torch.empty(columns, width).uniform_(-bound, bound))
        self.gather = nn.Parameter(torch.empty(1, 1, width).uniform_(-bound, bound))
        self.blocks = transformer_blocks(width, layers, heads, dropout)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Values float (B, 2n + c) to (B, D), or tokens (B, 1 + n + c, D)."""
        values, n = batch["values"], self.numeric
        tokens = []
        if self.scale is not None and self.absent is not None:
            numbers, missing = values[:, :n, None], values[:, n : 2 * n, None]  # (B, n, 1)
            tokens.append(numbers * self.scale + missing * self.absent)
        if self.categories is not None:
            tokens.append(self.categories(values[:, 2 * n :]))
        x = torch.cat(tokens, dim=1) + self.bias  # (B, n + c, D)
        x = torch.cat([self.gather.expand(len(x), -1, -1), x], dim=1)
        x = self.blocks(x)
        return x if self.tokens else x[:, 0]
