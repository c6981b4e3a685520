"""Sum or mean of the projected inputs."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.models.fusion.normed import NormedFusion


class Sum(NormedFusion):
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
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        width: int = 128,
        reduction: Literal["sum", "mean"] = "sum",
        dropout: float = 0.3,
    ) -> None:
        super().__init__(widths, width)
        self.reduction = reduction
        self.projections = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        x = self.vectors(embeddings, present)
        parts = [self.projections[name](x[name]) for name in self.inputs]
        pooled = (torch.stack(parts, dim=1) * present.unsqueeze(-1)).sum(dim=1)  # (B, W)
        if self.reduction == "mean":
            pooled = pooled / present.sum(1, keepdim=True).clamp(min=1)
        return self.dropout(F.gelu(pooled))
