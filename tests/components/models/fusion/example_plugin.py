"""A whole fusion plugin, as its author would write it: the tests install it as a distribution.

It needs no import of braid's insides but these two modules, and three promises: ``inputs`` sorted,
``width`` the length of the result, and nothing in the result that an absent input holds.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.models.fusion.masking import as_vector, hide_absent
from components.models.fusion.protocol import Fusion
from components.targets import Targets


class SoftMaximum(Fusion):
    """``log sum_m exp(W_m x_m)`` over the inputs present: for each feature about the highest of them."""

    def __init__(self, widths: Mapping[str, int], targets: Targets, width: int = 64) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width is {width}, expected 1 or more")
        self.inputs = tuple(sorted(widths))
        self.width = width
        self.norms = nn.ModuleDict({name: nn.LayerNorm(widths[name]) for name in self.inputs})
        self.projections = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        hidden = hide_absent(embeddings, present, self.inputs)
        parts = [self.projections[name](self.norms[name](as_vector(hidden[name]))) for name in self.inputs]
        stacked = torch.stack(parts, dim=1)  # (B, M, W)
        return stacked.masked_fill(~present.unsqueeze(-1), -1e4).logsumexp(dim=1)


class NotAFusion(nn.Module):
    """Class that an entry point must not name."""
