"""Gated multimodal unit."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.models.fusion.normed import NormedFusion


class Gated(NormedFusion):
    """Gated multimodal unit (Arevalo et al. 2017, https://arxiv.org/abs/1702.01992, section 3.1).

    ``h_m = tanh(W_m x_m)``, gates ``z`` from all inputs together, ``h = sum_m z_m * h_m``. As in the paper,
    each of three or more inputs has a sigmoid as its gate; the gates of two are tied as z and 1 - z. The
    softmax over the inputs present is the same, and leaves 1 for an input alone.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector.
        dropout: Dropout on the fused vector.
    """

    def __init__(self, widths: Mapping[str, int], width: int = 128, dropout: float = 0.3) -> None:
        super().__init__(widths, width)
        self.values = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        self.gates = nn.Linear(sum(widths.values()), width * len(self.inputs))
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        x = self.vectors(embeddings, present)
        h = torch.stack([torch.tanh(self.values[name](x[name])) for name in self.inputs], dim=1)  # (B, M, W)
        gates = self.gates(torch.cat([x[name] for name in self.inputs], dim=1)).view_as(h)
        gates = gates.masked_fill(~present.unsqueeze(-1), torch.finfo(gates.dtype).min)
        weights = gates.softmax(dim=1) if len(self.inputs) < 3 else gates.sigmoid()
        return self.dropout((weights * h).sum(dim=1))
