"""Bag of hashed word and character n-grams (fastText, Joulin et al. 2017, arXiv:1607.01759)."""

import torch
from torch import Tensor, nn

from components.models.encoders.protocol import Encoder

# Rows of the table start near 0 and count for ten times their value: a rare n-gram then weighs nothing
# until a label has spoken for it, and Adam's steps, which are of one size, move the few that a text has
# as fast as they need at the learning rates of other encoders.
_STD, _GAIN = 0.001, 10.0


class Ngrams(Encoder):
    """Sum of n-gram vectors over the square root of their number: strong on a few thousand short texts.

    Args:
        width: length D of the embedding.
        buckets: rows of the hashed table; ids are in [1, buckets], 0 is padding.
        dropout: share of n-grams left out of each row while training.
    """

    def __init__(self, width: int, buckets: int, dropout: float) -> None:
        super().__init__(width)
        self.table = nn.Embedding(buckets + 1, width)
        nn.init.normal_(self.table.weight, std=_STD)
        self.dropout = dropout

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Ids int64 (B, T) with mask bool (B, T) to (B, D)."""
        ids, mask = batch["ids"], batch["mask"]
        if self.training and self.dropout:
            mask = mask & (torch.rand(mask.shape, device=mask.device) >= self.dropout)
        weight = mask.to(self.table.weight.dtype).unsqueeze(-1)  # (B, T, 1)
        total = (self.table(ids) * weight).sum(1)  # (B, D)
        return _GAIN * total / weight.sum(1).clamp(min=1).sqrt()
