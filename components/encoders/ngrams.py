"""Bag of hashed word and character n-grams (fastText, Joulin et al. 2017, arXiv:1607.01759)."""

from __future__ import annotations

from torch import Tensor, nn

from components.encoders.protocol import Encoder, masked_mean


class Ngrams(Encoder):
    """Weighted mean of n-gram vectors: the strong choice on a few thousand short texts.

    Args:
        width: length D of the embedding.
        buckets: rows of the hashed table; ids are in [1, buckets], 0 is padding.
        dropout: share of n-grams left out of each row while training.
    """

    def __init__(self, width: int, buckets: int, dropout: float) -> None:
        super().__init__(width)
        self.table = nn.Embedding(buckets + 1, width)
        nn.init.normal_(self.table.weight, std=0.1)
        self.drop = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Ids int64 (B, T) with mask bool (B, T) to (B, D)."""
        ids, mask = batch["ids"], batch["mask"]
        x = masked_mean(self.table(ids), mask) * mask.sum(1, keepdim=True).clamp(min=1).sqrt()  # (B, D)
        embedding: Tensor = self.drop(self.norm(x))
        return embedding
