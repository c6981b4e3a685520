"""Hiding inputs at training time, so that a model learns to do without them."""

import torch
from torch import Tensor

from components.config import ModalityDropout


def rate_at(config: ModalityDropout, epoch: int, epochs: int) -> float:
    """Probability of hiding an input in ``epoch`` (from 0) of ``epochs``: a ramp, then flat."""
    progress = min(1.0, epoch / (config.ramp * epochs)) if config.ramp > 0 else 1.0
    return config.start + (config.rate - config.start) * progress


def hide(present: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Hide each present input of each sample with probability ``rate``; one of them always stays.

    Args:
        present: (B, M) bool.
        rate: Probability in [0, 1).
        generator: On the CPU.

    Returns:
        (B, M) bool, a subset of ``present`` that leaves no row empty which was not.
    """
    if rate <= 0:
        return present
    draw = torch.rand(present.shape, generator=generator).to(present.device)
    visible = present & (draw >= rate)
    lucky = torch.where(present, draw, -1.0).argmax(dim=1, keepdim=True)
    stays = torch.zeros_like(present).scatter(1, lucky, True) & present
    return torch.where(visible.any(dim=1, keepdim=True), visible, stays)
