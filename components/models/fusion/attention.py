"""Attention with padding: the block that the attending fusions are built from."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.2).

    Args:
        width: Length W of tokens.
        heads: Must divide ``width``.
        dropout: Dropout on the attention weights.

    Shape:
        x: (B, T, W); context: (B, S, W); real: (B, S) bool, tokens of the context that are looked
        at; result: (B, T, W).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # a bias shifts all scores alike: softmax ignores it
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor, real: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T or S, W / H)
            for part in (self.query(x), self.key(context), self.value(context))
        )
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, real[:, None, None, :], dropout_p=dropout)
        return self.out(attended.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm transformer block: attention, then a feed-forward layer of twice the width.

    Args:
        width: Length W of tokens.
        heads: Must divide ``width``.
        dropout: Dropout on attention weights, hidden units and what is added.
        cross: Attend to another sequence, which has a norm of its own, instead of ``x`` itself.
    """

    def __init__(self, width: int, heads: int, dropout: float, cross: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.context_norm = nn.LayerNorm(width) if cross else None
        self.attention = Attention(width, heads, dropout)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, T, W), with (B, S) bool for what is attended to: ``context`` (B, S, W), or x itself."""
        h = self.norm(x)
        seen = h if self.context_norm is None else self.context_norm(context)
        x = x + self.dropout(self.attention(h, seen, real))
        return x + self.dropout(self.feed_forward(x))


def learned_tokens(count: int, width: int) -> nn.Parameter:
    """(count, width), small at first, as transformers begin."""
    return nn.Parameter(torch.randn(count, width) * 0.02)
