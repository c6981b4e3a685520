"""One embedding of several images or audio clips."""

import torch
from torch import Tensor, nn

from components.models.encoders.protocol import Encoder, masked_mean


class Several(Encoder):
    """Embeds every item of a row by one network and pools; the order of the items does not matter.

    ``mean``, or ``attention``: ``sum_k a_k h_k`` with ``a = softmax(w tanh(V h_k))`` (Ilse, Tomczak & Welling
    2018, https://arxiv.org/abs/1802.04712, equations 7 and 8).

    Args:
        each: Embeds one item; a sequence of tokens is averaged.
        pooling: ``mean`` or ``attention``.
    """

    def __init__(self, each: Encoder, pooling: str) -> None:
        super().__init__(each.width)
        self.each = each
        self.attention = (
            nn.Sequential(nn.Linear(each.width, each.width), nn.Tanh(), nn.Linear(each.width, 1))
            if pooling == "attention"
            else None
        )

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, D) from a batch of all rows' items, of which each row has ``items`` (B,)."""
        items = batch["items"]
        embeddings = self.each({name: value for name, value in batch.items() if name != "items"})
        if embeddings.dim() == 3:
            embeddings = masked_mean(embeddings, embeddings.ne(0).any(-1))  # (N, D)
        rows = torch.repeat_interleave(torch.arange(len(items), device=embeddings.device), items)
        if self.attention is None:
            weight = 1 / items[rows].to(embeddings.dtype)
        else:
            score = self.attention(embeddings).squeeze(1)
            highest = score.new_full((len(items),), -torch.inf).scatter_reduce(0, rows, score, "amax")
            weight = (score - highest.detach()[rows]).exp()
            weight = weight / weight.new_zeros(len(items)).index_add(0, rows, weight)[rows]
        return embeddings.new_zeros(len(items), self.width).index_add(
            0, rows, embeddings * weight.unsqueeze(1)
        )
