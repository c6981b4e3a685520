"""Low-rank multimodal fusion: the tensor product without the tensor."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.models.fusion.normed import NormedFusion


class LowRank(NormedFusion):
    """Low-rank multimodal fusion (Liu et al. 2018, https://arxiv.org/abs/1806.00064, section 3.2).

    A linear layer behind the outer product of all ``[x_m; 1]``, whose weight is a sum of r rank-one
    tensors. Each of them is applied to an input at a time, and the tensor never made:
    ``h = sum_i prod_m (W_m^i [x_m; 1]) + b``, the product elementwise. Here the sum is divided by r,
    which the factors absorb.

    The columns of the factors that the ones meet begin at 1, so that products begin near the sum of
    their parts. An absent input has x = 0: what it multiplies by is that column alone.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector.
        rank: Rank-one tensors r.
        dropout: Dropout on the fused vector.
    """

    def __init__(
        self, widths: Mapping[str, int], width: int = 128, rank: int = 4, dropout: float = 0.3
    ) -> None:
        super().__init__(widths, width)
        self.rank = rank
        self.factors = nn.ModuleDict({name: nn.Linear(widths[name], rank * width) for name in self.inputs})
        for factor in self.factors.values():
            nn.init.ones_(factor.bias)  # type: ignore[arg-type]
        self.bias = nn.Parameter(torch.zeros(width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        x = self.vectors(embeddings, present)
        factors = torch.stack([self.factors[name](x[name]) for name in self.inputs])  # (M, B, r * W)
        products = factors.prod(dim=0).unflatten(1, (self.rank, self.width))
        return self.dropout(products.mean(dim=1) + self.bias)
