"""Late fusion: each input decides, the decisions are pooled."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from components.models.fusion.masking import as_vector, hide_absent
from components.models.fusion.protocol import Fusion
from components.targets import Head, Targets


class Pool(nn.Module):
    """Log-linear pool of the inputs' calibrated decisions with learned weights (Heskes 1998).

    ``eta = sum_m w_m * eta_m / T_m + (n - 1) / (M - 1) * c`` over the n inputs present, where ``eta_m`` are
    natural parameters (logits, for classes) and w_m > 0. With all weights 1 and ``c = -(M - 1)`` times the
    prior's natural parameters this is the product of calibrated posteriors. The product is ideal when the
    inputs are independent given the target. Weights and temperatures are learned for each target.

    Args:
        inputs: Names of the M inputs.
        targets: What is predicted: T targets with K natural parameters.
    """

    def __init__(self, inputs: Sequence[str], targets: Targets) -> None:
        super().__init__()
        self.inputs = tuple(sorted(inputs))
        self.width = targets.width
        self.targets = targets
        self.log_weight = nn.Parameter(torch.zeros(len(targets), len(self.inputs)))
        self.log_temperature = nn.Parameter(torch.zeros(len(targets), len(self.inputs)))
        self.bias = nn.Parameter(torch.zeros(targets.width))
        self.owners: Tensor
        self.register_buffer("owners", targets.owners(), persistent=False)

    def scale(self, natural: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Divide each input's (B, K) by its temperature; zeros where it is absent. (B, M, K)."""
        stacked = torch.stack([natural[name] for name in self.inputs], dim=1)
        scaled = stacked / self.log_temperature.exp()[self.owners].T
        return torch.where(present.unsqueeze(-1), scaled, torch.zeros((), device=scaled.device))

    def pool(self, scaled: Tensor, present: Tensor) -> Tensor:
        """Pool (B, M, K) over the inputs present. (B, K)."""
        weight = self.log_weight.exp()[self.owners].T  # (M, K)
        # the prior is in every input's decision; the more inputs, the more often it is taken out again
        count = present.sum(1, keepdim=True).clamp(min=1)
        surplus = (count - 1) / max(len(self.inputs) - 1, 1)
        summed = (weight * scaled * present.unsqueeze(-1)).sum(dim=1)
        # never less sure than the inputs are on average, however unsure that is
        return self.targets.proper(summed + surplus * self.bias, summed / count)

    def combine(self, natural: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Pool the inputs' natural parameters (B, K) each as they are, uncalibrated. (B, K)."""
        return self.pool(self.scale(natural, present), present)


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

    def __init__(self, widths: Mapping[str, int], targets: Targets) -> None:
        super().__init__(tuple(widths), targets)
        self.heads = nn.ModuleDict({name: Head(widths[name], targets) for name in self.inputs})

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        hidden = hide_absent(embeddings, present, self.inputs)
        return self.combine(
            {name: self.heads[name](as_vector(hidden[name])) for name in self.inputs}, present
        )
