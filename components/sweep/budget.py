"""Width of a fusion for a budget of trainable parameters."""

from collections.abc import Mapping

import torch

from components.config import FusionConfig
from components.models.fusion import build_fusion
from components.models.networks import Fused
from components.targets import Targets

_WIDEST = 2**16


def count_parameters(config: FusionConfig, widths: Mapping[str, int], targets: Targets) -> int:
    """Count the trainable parameters of fusion and head, without allocating them.

    Args:
        config: Options of the fusion.
        widths: Length of each input's embedding.
        targets: Targets of the head.
    """
    with torch.device("meta"):
        network = Fused(build_fusion(config, widths, targets), targets)
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def width_for(budget: int, config: FusionConfig, widths: Mapping[str, int], targets: Targets) -> int | None:
    """Find the width whose number of trainable parameters is nearest to a budget, by bisection.

    Args:
        budget: Number of parameters.
        config: Other options of the fusion; a width has to be a multiple of its ``heads``.
        widths: Length of each input's embedding.
        targets: Targets of the head.

    Returns:
        The width; None for a fusion without one.
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
