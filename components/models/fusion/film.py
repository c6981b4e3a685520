"""FiLM: each input scales and shifts the features of the others."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.models.fusion.normed import NormedFusion


class FiLM(NormedFusion):
    """Feature-wise linear modulation (Perez et al. 2018, https://arxiv.org/abs/1709.07871, section 2).

    The paper modulates one input (the image) by one other (the question):
    ``FiLM(F | gamma, beta) = gamma * F + beta`` with gamma = 1 + delta. Here every input takes both
    roles, so none is preferred: features ``h_m = W_m x_m`` are modulated by the sum of the other
    inputs present, ``(delta_m, beta_m) = G_m gelu(sum_{n != m} C_n x_n + c_n)``. The fused vector is
    the mean of ``gelu(gamma_m * h_m + beta_m)`` over the inputs present.

    G_m has no bias: without another input nothing is modulated (gamma = 1, beta = 0).

    Args:
        widths: Length D_m of each input's embedding.
        width: Length of the fused vector.
        dropout: Dropout on the fused vector.
    """

    def __init__(self, widths: Mapping[str, int], width: int = 128, dropout: float = 0.3) -> None:
        super().__init__(widths, width)
        self.features = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in self.inputs})
        others = self.inputs if len(self.inputs) > 1 else ()
        self.conditions = nn.ModuleDict({name: nn.Linear(widths[name], width) for name in others})
        self.generators = nn.ModuleDict({name: nn.Linear(width, 2 * width, bias=False) for name in others})
        self.dropout = nn.Dropout(dropout)

    def forward(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        x = self.vectors(embeddings, present)
        known = {name: present[:, [column]] for column, name in enumerate(self.inputs)}  # (B, 1)
        conditions = {name: part(x[name]) * known[name] for name, part in self.conditions.items()}
        modulated = []
        for name in self.inputs:
            h = self.features[name](x[name])  # (B, W)
            others = [value for other, value in conditions.items() if other != name]
            if others:
                delta, beta = self.generators[name](F.gelu(torch.stack(others).sum(dim=0))).chunk(2, dim=1)
                h = (1 + delta) * h + beta
            modulated.append(F.gelu(h) * known[name])
        count = present.sum(1, keepdim=True).clamp(min=1)
        return self.dropout(torch.stack(modulated).sum(dim=0) / count)
