"""The width at which a fusion has about as many parameters as it may have."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from components.config.fusion import FusionConfig
from components.models.fusion import build_fusion
from components.models.networks import Fused
from components.targets import Targets

_WIDEST = 2**16


def count_parameters(config: FusionConfig, widths: Mapping[str, int], targets: Targets) -> int:
    """Trainable parameters of fusion and head, counted without making them.

    Args:
        config: Of the fusion.
        widths: Length of each input's embedding.
        targets: What is predicted.
    """
    with torch.device("meta"):
        network = Fused(build_fusion(config, widths, targets), targets)
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def width_for(budget: int, config: FusionConfig, widths: Mapping[str, int], targets: Targets) -> int | None:
    """The width whose number of trainable parameters comes nearest to a budget, by bisection.

    Args:
        budget: Parameters.
        config: The fusion's other options; a width has to be a multiple of its ``heads``.
        widths, targets: As for :func:`count_parameters`.

    Returns:
        None for a fusion without a width.
    """
    if "width" not in type(config).model_fields:
        return None
    step = getattr(config, "heads", 1)

    def count(steps: int) -> int:
        return count_parameters(config.model_copy(update={"width": steps * step}), widths, targets)

    high = 1
    while count(high) < budget and high * step < _WIDEST:
        high *= 2
    low = max(1, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < budget else (low, middle)
    return step * min((low, high), key=lambda steps: abs(count(steps) - budget))
