"""Product of experts: each input says what it believes and how sure it is."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.models.fusion.normed import NormedFusion


class ProductOfExperts(NormedFusion):
    """Gaussian product of experts (Hinton 2002; Wu and Goodman 2018, section 2.2).

    https://arxiv.org/abs/1802.05335: each input present gives a Gaussian with mean mu_m and
    precision T_m over the fused vector; a unit Gaussian is the prior expert. Their product is
    Gaussian with mean ``sum_m T_m mu_m / (1 + sum_m T_m)``, which is the fused vector: an input that is
    sure of a feature outvotes one that is not, an absent one is no factor of the product.

    The paper's autoencoder draws a sample; a classifier without its KL term would only learn to
    make that noise small, so the mean is taken. Precisions are a softplus rather than an exponential,
    which cannot overflow.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector.
        dropout: Dropout on the fused vector.
    """

    def __init__(self, widths: Mapping[str, int], width: int = 128, dropout: float = 0.3) -> None:
        super().__init__(widths, width)
        self.means = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        self.precisions = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        x = self.vectors(embeddings, present)
        means = torch.stack([self.means[name](x[name]) for name in self.inputs], dim=1)  # (B, M, W)
        precisions = torch.stack([F.softplus(self.precisions[name](x[name])) for name in self.inputs], dim=1)
        precisions = precisions * present.unsqueeze(-1)
        return self.dropout((precisions * means).sum(dim=1) / (1 + precisions.sum(dim=1)))
