"""Multiplicative interactions: a bilinear form of each pair of inputs."""

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor, nn

from components.models.fusion.normed import NormedFusion


class Multiplicative(NormedFusion):
    """Multiplicative interactions (Jayakumar et al. 2020, https://openreview.net/forum?id=rylnK6VtDH).

    The paper's layer, equation 1, is for two inputs: ``f(x, z) = z' W x + z' U + V x + b`` with a
    three-dimensional W. For M inputs this is
    ``sum_{m < n} z_m' W_mn z_n + sum_m V_m x_m + b``: pairs are unordered, because a form of (n, m) is
    one of (m, n) with W transposed. Products of three inputs are not in it (tensor fusion has
    them). An absent input's terms are left out: with one input present it is a linear layer.

    W would have D_m * D_n * width weights. It is applied to ``z_m = P_m x_m`` with few features, which
    restricts W to a low rank in its two input dimensions and adds no nonlinearity. Section 3 of the paper
    does so for its gates and diagonal forms too.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector.
        factor_width: Features F of each input in the bilinear forms.
        dropout: Dropout on the fused vector.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        width: int = 128,
        factor_width: int = 24,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(widths, width)
        self.linear = nn.ModuleDict(
            {name: nn.Linear(widths[name], width, bias=False) for name in self.inputs}
        )
        self.bias = nn.Parameter(torch.zeros(width))
        self.pairs = tuple(combinations(self.inputs, 2))
        paired = self.inputs if self.pairs else ()
        self.factors = nn.ModuleDict(
            {name: nn.Linear(widths[name], factor_width, bias=False) for name in paired}
        )
        self.forms = nn.ModuleList(nn.Linear(factor_width**2, width, bias=False) for _ in self.pairs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        x = self.vectors(embeddings, present)
        z = {name: factor(x[name]) for name, factor in self.factors.items()}  # (B, F), zeros where absent
        terms = [self.linear[name](x[name]) for name in self.inputs]
        for (left, right), form in zip(self.pairs, self.forms, strict=True):
            products = z[left].unsqueeze(2) * z[right].unsqueeze(1)  # (B, F, F)
            terms.append(form(products.flatten(1)))
        return self.dropout(torch.stack(terms).sum(dim=0) + self.bias)
