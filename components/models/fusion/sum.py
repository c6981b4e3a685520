"""Sum or mean of the projected inputs."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.models.fusion.masking import as_vector, hide_absent
from components.models.fusion.protocol import Fusion


class Sum(Fusion):
    """``gelu(sum_m W_m x_m + b_m)`` over the inputs present, or their mean.

    The sum decomposition of functions on sets (Zaheer et al. 2017, https://arxiv.org/abs/1703.06114,
    theorem 2: rho(sum phi(x))) with a phi for each input, because inputs are of different kinds. An
    absent input adds nothing. The mean keeps the scale however many are present; the sum shows how
    many agree.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector.
        reduction: ``sum`` or ``mean``.
        dropout: Dropout on the fused vector.

    Shape:
        embeddings: (B, D_m) or (B, T_m, D_m) each; present: (B, M) bool, columns in the order of
        :attr:`inputs`; result: (B, width).
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        width: int = 128,
        reduction: Literal["sum", "mean"] = "sum",
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.inputs = tuple(sorted(widths))
        self.width = width
        self.reduction = reduction
        self.norms = nn.ModuleDict({name: nn.LayerNorm(widths[name]) for name in self.inputs})
        self.projections = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        hidden = hide_absent(embeddings, present, self.inputs)
        parts = [self.projections[name](self.norms[name](as_vector(hidden[name]))) for name in self.inputs]
        pooled = (torch.stack(parts, dim=1) * present.unsqueeze(-1)).sum(dim=1)  # (B, W)
        if self.reduction == "mean":
            pooled = pooled / present.sum(1, keepdim=True).clamp(min=1)
        return self.dropout(F.gelu(pooled))
