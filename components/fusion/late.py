"""Late fusion: each input decides, the decisions are pooled."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.fusion.embeddings import as_vector, hide_absent
from components.fusion.protocol import Fusion


class Late(Fusion):
    """Log-linear pool of calibrated per-input logits with learned weights (Heskes 1998).

    ``logits = sum_m w_m * (W_m x_m + b_m) / T_m + c`` over the inputs present, with w_m > 0. With all
    weights 1 and c = (1 - M) log prior this is the product of calibrated posteriors, which is
    ideal when the inputs are independent given the class.

    With heads taken from the fits of the single inputs only temperatures, weights and ``c`` are left
    to learn; :func:`components.training.stack.stack` does that on validation rows, where the heads'
    confidence is honest. On the rows that the heads were fitted to, it is not.

    Args:
        widths: Length D_m of each input's embedding.
        outputs: Classes C.

    Shape:
        embeddings: (B, D_m) or (B, T_m, D_m) each; present: (B, M) bool, columns in the order of
        :attr:`inputs`; result: (B, C) pooled logits, so the head behind it is the identity.
    """

    def __init__(self, widths: Mapping[str, int], outputs: int) -> None:
        super().__init__()
        self.inputs = tuple(sorted(widths))
        self.width = outputs
        self.heads = nn.ModuleDict({name: nn.Linear(widths[name], outputs) for name in self.inputs})
        self.log_weight = nn.Parameter(torch.zeros(len(self.inputs)))
        self.log_temperature = nn.Parameter(torch.zeros(len(self.inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def per_input(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Calibrated logits of each input, zeros where it is absent. (B, M, C)."""
        hidden = hide_absent(embeddings, present, self.inputs)
        return self.scale({name: self.heads[name](as_vector(hidden[name])) for name in self.inputs}, present)

    def scale(self, logits: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Divide each input's logits (B, C) by its temperature; zeros where it is absent. (B, M, C)."""
        stacked = torch.stack([logits[name] for name in self.inputs], dim=1)
        scaled = stacked / self.log_temperature.exp().view(1, -1, 1)
        return torch.where(present.unsqueeze(-1), scaled, torch.zeros((), device=scaled.device))

    def pool(self, logits: Tensor, present: Tensor) -> Tensor:
        """Pool (B, M, C) calibrated logits over the inputs present. (B, C)."""
        weight = self.log_weight.exp() * present  # (B, M)
        # the prior is in every input's logits; the more inputs, the more often it is taken out again
        surplus = (present.sum(1, keepdim=True) - 1).clamp(min=0) / max(len(self.inputs) - 1, 1)
        return (weight.unsqueeze(-1) * logits).sum(dim=1) + surplus * self.bias

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        return self.pool(self.per_input(embeddings, present), present)
