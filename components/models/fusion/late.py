"""Late fusion: each input decides, the decisions are pooled."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from components.models.fusion.masking import as_vector, hide_absent
from components.models.fusion.protocol import Fusion
from components.targets import Head, Targets

_MOST_INPUTS = 6  # 64 subsets


class Pool(nn.Module):
    """Log-linear pool of the inputs' calibrated decisions with learned weights (Heskes 1998).

    ``eta = sum_m w_m * eta_m / T_m + (n - 1) / (M - 1) * c`` over the n inputs present, where ``eta_m`` are
    natural parameters (logits, for classes) and w_m > 0. With all weights 1 and ``c = -(M - 1)`` times the
    prior's natural parameters this is the product of calibrated posteriors. The product is ideal when the
    inputs are independent given the target. Weights and temperatures are learned for each target. Each subset
    of up to six inputs has weights and ``c`` of its own, since inputs that say the same count less together
    than apart; more inputs share one set.

    Args:
        inputs: Names of the M inputs.
        targets: What is predicted: T targets with K natural parameters.

    Attributes:
        log_weight: (S, T, M), by subset as :meth:`number` counts them.
        log_temperature: (T, M).
        bias: (S, K), the ``c`` of each subset.
    """

    def __init__(self, inputs: Sequence[str], targets: Targets) -> None:
        super().__init__()
        self.inputs = tuple(sorted(inputs))
        self.width = targets.width
        self.targets = targets
        subsets = 2 ** len(self.inputs) if len(self.inputs) <= _MOST_INPUTS else 1
        self.log_weight = nn.Parameter(torch.zeros(subsets, len(targets), len(self.inputs)))
        self.log_temperature = nn.Parameter(torch.zeros(len(targets), len(self.inputs)))
        self.bias = nn.Parameter(torch.zeros(subsets, targets.width))
        self.owners: Tensor
        self.register_buffer("owners", targets.owners(), persistent=False)

    def number(self, present: Tensor) -> Tensor:
        """Number the subset of inputs that each row (B, M) has, as a binary number. (B,) int64."""
        if len(self.bias) == 1:
            return present.new_zeros(len(present), dtype=torch.int64)
        return (present * 2 ** torch.arange(len(self.inputs), device=present.device)).sum(1)

    def scale(self, natural: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Divide each input's (B, K) by its temperature; zeros where it is absent. (B, M, K)."""
        stacked = torch.stack([natural[name] for name in self.inputs], dim=1)
        scaled = stacked / self.log_temperature.exp()[self.owners].T
        return torch.where(present.unsqueeze(-1), scaled, torch.zeros((), device=scaled.device))

    def pool(self, scaled: Tensor, present: Tensor) -> Tensor:
        """Pool (B, M, K) over the inputs present. (B, K)."""
        number = self.number(present)
        weight = self.log_weight.exp()[number][:, self.owners].transpose(1, 2)  # (B, M, K)
        # the prior is in every input's decision; the more inputs, the more often it is taken out again
        count = present.sum(1, keepdim=True).clamp(min=1)
        surplus = (count - 1) / max(len(self.inputs) - 1, 1)
        summed = (weight * scaled * present.unsqueeze(-1)).sum(dim=1)
        # never less sure than the inputs are on average, however unsure that is
        return self.targets.proper(summed + surplus * self.bias[number], summed / count)

    def combine(self, natural: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Pool the inputs' natural parameters (B, K) each as they are, uncalibrated. (B, K)."""
        return self.pool(self.scale(natural, present), present)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *others: Any) -> None:
        """Read weights of a model of before too, whose subsets all share them."""
        for name in ("log_weight", "bias"):
            stored, own = state.get(f"{prefix}{name}"), getattr(self, name)
            if stored is not None and stored.dim() < own.dim():
                state[f"{prefix}{name}"] = stored.expand_as(own)
        super()._load_from_state_dict(state, prefix, *others)


class Late(Pool, Fusion):
    """A pool of decisions of heads of its own.

    With heads taken from the fits of the single inputs only temperatures, weights and ``c`` are left
    to learn; :func:`components.training.stack.stack` does that on rows that the heads were not fitted to,
    where their confidence is honest.

    Args:
        widths: Length D_m of each input's embedding.
        targets: What is predicted.

    Shape:
        embeddings: (B, D_m) or (B, T_m, D_m) each; present: (B, M) bool, columns in the order of
        :attr:`inputs`; result: (B, K) natural parameters, so the head behind it is the identity.
    """

    decides = True

    def __init__(self, widths: Mapping[str, int], targets: Targets) -> None:
        super().__init__(tuple(widths), targets)
        self.heads = nn.ModuleDict({name: Head(widths[name], targets) for name in self.inputs})

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        hidden = hide_absent(embeddings, present, self.inputs)
        return self.combine(
            {name: self.heads[name](as_vector(hidden[name])) for name in self.inputs}, present
        )
