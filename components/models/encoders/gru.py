"""Recurrent text network, from scratch (gated recurrent unit, Cho et al. 2014, arXiv:1406.1078)."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from components.models.encoders.protocol import Encoder, masked_max, masked_mean, without_padding


class GRU(Encoder):
    """Token vectors through a recurrent network; mean and maximum of its states; a projection.

    As tokens each state is projected.

    Args:
        width: length D of the embedding.
        vocabulary_size: rows of the token table (largest id + 1).
        embedding: length of a token's vector.
        layers: recurrent layers.
        bidirectional: read the text in both directions.
        dropout: share of values zeroed on token vectors, between layers and before the projection.
        tokens: give a sequence of tokens (B, T, D), zeros where there is padding.
    """

    def __init__(
        self,
        width: int,
        vocabulary_size: int,
        embedding: int,
        layers: int,
        bidirectional: bool,
        dropout: float,
        tokens: bool = False,
    ) -> None:
        super().__init__(width, tokens)
        self.embed = nn.Embedding(vocabulary_size, embedding)
        self.drop = nn.Dropout(dropout)
        self.recur = nn.GRU(
            embedding,
            width,
            num_layers=layers,
            bidirectional=bidirectional,
            batch_first=True,
            dropout=dropout if layers > 1 else 0.0,
        )
        state = width * (2 if bidirectional else 1)
        self.project = nn.Linear(state if tokens else 2 * state, width)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Ids int64 (B, T) with mask bool (B, T), valid tokens first, to (B, D) or (B, T, D)."""
        ids, mask = batch["ids"], batch["mask"]
        x = self.drop(self.embed(ids))  # (B, T, E)
        lengths = mask.sum(1).clamp(min=1).cpu()
        # Packing keeps the backward direction from reading the padding first.
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.recur(packed)[0], batch_first=True, total_length=ids.shape[1])
        if self.tokens:
            return without_padding(self.project(self.drop(states)), mask)
        pooled = torch.cat([masked_mean(states, mask), masked_max(states, mask)], dim=1)
        embedding: Tensor = self.project(self.drop(pooled))  # (B, D)
        return embedding
