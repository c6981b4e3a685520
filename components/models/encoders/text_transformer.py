"""Transformer for text, from scratch (Vaswani et al. 2017, arXiv:1706.03762)."""

import math

import torch
from torch import Tensor, nn

from components.models.encoders.protocol import Encoder, masked_mean, without_padding


def transformer_blocks(width: int, layers: int, heads: int, dropout: float) -> nn.TransformerEncoder:
    """Pre-norm blocks (Xiong et al. 2020, arXiv:2002.04745): they train without a long warm-up.

    Raises:
        ValueError: `heads` does not divide `width`.
    """
    if width % heads:
        raise ValueError(f"heads must divide width, got {heads} heads and width {width}")
    block = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(block, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)


def sinusoids(length: int, width: int, device: torch.device) -> Tensor:
    """Position vectors float32 (length, width) of section 3.5; any length, nothing learned."""
    position = torch.arange(length, device=device, dtype=torch.float32).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    table = torch.zeros(length, width, device=device)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)[:, : width // 2]
    return table


class TextTransformer(Encoder):
    """Token vectors plus positions through transformer blocks; mean over the tokens.

    Args:
        width: length D of the embedding and of every token's vector.
        vocabulary_size: rows of the token table (largest id + 1).
        layers: blocks.
        heads: attention heads; must divide `width`.
        dropout: share of values zeroed on token vectors and in every block.
        tokens: give a sequence of tokens (B, T, D), zeros where there is padding.

    Raises:
        ValueError: `heads` does not divide `width`.
    """

    def __init__(
        self,
        width: int,
        vocabulary_size: int,
        layers: int,
        heads: int,
        dropout: float,
        tokens: bool = False,
    ) -> None:
        super().__init__(width, tokens)
        self.embed = nn.Embedding(vocabulary_size, width)
        nn.init.normal_(self.embed.weight, std=width**-0.5)
        self.drop = nn.Dropout(dropout)
        self.blocks = transformer_blocks(width, layers, heads, dropout)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Ids int64 (B, T) with mask bool (B, T) to (B, D) or (B, T, D)."""
        ids, mask = batch["ids"], batch["mask"]
        x = self.embed(ids) * math.sqrt(self.width)
        x = self.drop(x + sinusoids(ids.shape[1], self.width, ids.device))  # (B, T, D)
        x = self.blocks(x, src_key_padding_mask=~mask)
        return without_padding(x, mask) if self.tokens else masked_mean(x, mask)
