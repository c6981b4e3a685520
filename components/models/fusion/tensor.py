"""Tensor fusion network: the outer product of all inputs."""

from collections.abc import Mapping
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.config.fusion import tensor_entries
from components.models.fusion.normed import NormedFusion


class TensorFusion(NormedFusion):
    """Tensor fusion network (Zadeh et al. 2017, https://arxiv.org/abs/1707.07250, section 4.2).

    ``[1; z_1] x [1; z_2] x ... x [1; z_M]`` (outer product) holds every product of features of every
    subset of inputs: the appended ones leave room for the smaller subsets. A hidden layer makes it
    the fused vector. An absent input has z = 0, so its one remains and the product is that of the
    inputs that are there.

    The product has (F + 1)^M entries. Each input is therefore first projected to few features; the
    paper's networks for the single inputs, which have 32 to 128 units, did that.

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector.
        factor_width: Features F of each input in the product.
        dropout: Dropout on the product and on the fused vector.

    Raises:
        ValueError: If the product would have too many entries.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        width: int = 128,
        factor_width: int = 12,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(widths, width)
        entries = tensor_entries(factor_width, len(widths))
        self.factors = nn.ModuleDict({name: nn.Linear(widths[name], factor_width) for name in self.inputs})
        self.layers = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(entries, width), nn.GELU(), nn.Dropout(dropout)
        )

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        x = self.vectors(embeddings, present)
        factors = []
        for column, name in enumerate(self.inputs):
            z = F.gelu(self.factors[name](x[name])) * present[:, [column]]
            factors.append(torch.cat([z.new_ones(len(z), 1), z], dim=1))  # (B, F + 1)
        return self.layers(reduce(_outer, factors))


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """(B, P) and (B, Q) to all their products (B, P * Q)."""
    return (left.unsqueeze(2) * right.unsqueeze(1)).flatten(1)
