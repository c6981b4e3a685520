"""Pairs against all other pairs of a batch: InfoNCE and its sigmoid form."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from components.objectives.pairwise import Pairwise

_SHARPEST = 100.0  # largest scale of the logits, as in CLIP


class Clip(Pairwise):
    """Cross-entropy of finding the partner among the rows of a batch, in both directions.

    InfoNCE (van den Oord et al. 2018, https://arxiv.org/abs/1807.03748) made symmetric, its temperature
    learned (Radford et al. 2021, https://arxiv.org/abs/2103.00020, figure 3). Where several rows belong
    together, the mean over them of the log-probabilities (Khosla et al. 2020,
    https://arxiv.org/abs/2004.11362, equation 2).

    Args:
        temperature: At the start.
        target: See :class:`components.objectives.pairwise.Pairwise`.
    """

    def __init__(self, temperature: float, target: str | None = None) -> None:
        super().__init__(target)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def pair(self, x: Tensor, y: Tensor, together: Tensor) -> Tensor:
        logits = scale(self.log_scale) * F.normalize(x, dim=1) @ F.normalize(y, dim=1).T  # (B, B)
        wanted = together / together.sum(1, keepdim=True)
        forth = -(wanted * logits.log_softmax(1)).sum(1).mean()
        back = -(wanted * logits.T.log_softmax(1)).sum(1).mean()
        return (forth + back) / 2


class SigLip(Pairwise):
    """Each pair of a batch by itself: does it belong together or not?

    Zhai et al. 2023, https://arxiv.org/abs/2303.15343, algorithm 1: temperature and bias are learned.

    Args:
        temperature, bias: At the start.
        target: See :class:`components.objectives.pairwise.Pairwise`.
    """

    def __init__(self, temperature: float, bias: float, target: str | None = None) -> None:
        super().__init__(target)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def pair(self, x: Tensor, y: Tensor, together: Tensor) -> Tensor:
        similarity = F.normalize(x, dim=1) @ F.normalize(y, dim=1).T
        logits = scale(self.log_scale) * similarity + self.bias  # (B, B)
        return -F.logsigmoid(torch.where(together, logits, -logits)).sum(1).mean()


def scale(log_scale: Tensor) -> Tensor:
    """Factor of the cosines."""
    return log_scale.exp().clamp(max=_SHARPEST)
