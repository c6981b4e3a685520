"""Gated multimodal unit."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.models.fusion.masking import as_vector, hide_absent
from components.models.fusion.protocol import Fusion


class Gated(Fusion):
    """Gated multimodal unit (Arevalo et al. 2017, https://arxiv.org/abs/1702.01992, section 3.1).

    ``h_m = tanh(W_m x_m)``, gates ``z`` from all inputs together, ``h = sum_m z_m * h_m``. The
    paper ties the two gates of its bimodal unit as z and 1 - z; a softmax over the inputs present
    is the same for two and extends it to any number and any subset.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector.
        dropout: Dropout on the fused vector.

    Shape:
        embeddings: (B, D_m) or (B, T_m, D_m) each; present: (B, M) bool, columns in the order of
        :attr:`inputs`; result: (B, width).
    """

    def __init__(self, widths: Mapping[str, int], width: int = 128, dropout: float = 0.3) -> None:
        super().__init__()
        self.inputs = tuple(sorted(widths))
        self.width = width
        self.norms = nn.ModuleDict({name: nn.LayerNorm(widths[name]) for name in self.inputs})
        self.values = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        self.gates = nn.Linear(sum(widths.values()), width * len(self.inputs))
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        hidden = hide_absent(embeddings, present, self.inputs)
        x = {
            name: self.norms[name](as_vector(hidden[name])) * present[:, [column]]
            for column, name in enumerate(self.inputs)
        }
        h = torch.stack([torch.tanh(self.values[name](x[name])) for name in self.inputs], dim=1)  # (B, M, W)
        gates = self.gates(torch.cat([x[name] for name in self.inputs], dim=1)).view_as(h)
        gates = gates.masked_fill(~present.unsqueeze(-1), torch.finfo(gates.dtype).min)
        return self.dropout((gates.softmax(dim=1) * h).sum(dim=1))
