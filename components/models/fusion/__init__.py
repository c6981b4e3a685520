"""Fusions: embeddings of the inputs that are there → one vector.

A new fusion is one file with a `Fusion`, a section in components/config/fusion.py and an entry in `FUSIONS`;
one that lives in a distribution of its own is a plugin (components/models/fusion/plugin.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from components.config.fusion import FusionConfig
from components.errors import ModelError
from components.models.fusion.bottleneck import Bottleneck
from components.models.fusion.concat import Concat
from components.models.fusion.cross_attention import CrossAttention
from components.models.fusion.film import FiLM
from components.models.fusion.gated import Gated
from components.models.fusion.late import Late
from components.models.fusion.low_rank import LowRank
from components.models.fusion.multiplicative import Multiplicative
from components.models.fusion.perceiver import Perceiver
from components.models.fusion.plugin import load_plugin
from components.models.fusion.product_of_experts import ProductOfExperts
from components.models.fusion.protocol import Fusion
from components.models.fusion.sum import Sum
from components.models.fusion.tensor import TensorFusion
from components.models.fusion.transformer import Transformer
from components.targets import Targets

__all__ = ["FUSIONS", "Fusion", "build_fusion"]

FUSIONS: dict[str, Callable[[Any, Mapping[str, int], Targets], Fusion]] = {
    "concat": lambda config, widths, targets: Concat(widths, config.width, config.layers, config.dropout),
    "late": lambda config, widths, targets: Late(widths, targets),
    "gated": lambda config, widths, targets: Gated(widths, config.width, config.dropout),
    "transformer": lambda config, widths, targets: Transformer(
        widths, config.width, config.layers, config.heads, config.dropout
    ),
    "sum": lambda config, widths, targets: Sum(widths, config.width, config.reduction, config.dropout),
    "tensor": lambda config, widths, targets: TensorFusion(
        widths, config.width, config.factor_width, config.dropout
    ),
    "low_rank": lambda config, widths, targets: LowRank(widths, config.width, config.rank, config.dropout),
    "multiplicative": lambda config, widths, targets: Multiplicative(
        widths, config.width, config.factor_width, config.dropout
    ),
    "film": lambda config, widths, targets: FiLM(widths, config.width, config.dropout),
    "product_of_experts": lambda config, widths, targets: ProductOfExperts(
        widths, config.width, config.dropout
    ),
    "cross_attention": lambda config, widths, targets: CrossAttention(
        widths, config.width, config.layers, config.heads, config.dropout
    ),
    "bottleneck": lambda config, widths, targets: Bottleneck(
        widths, config.width, config.layers, config.bottlenecks, config.heads, config.dropout
    ),
    "perceiver": lambda config, widths, targets: Perceiver(
        widths, config.width, config.layers, config.latents, config.heads, config.dropout
    ),
    "plugin": load_plugin,
}


def build_fusion(config: FusionConfig, widths: Mapping[str, int], targets: Targets) -> Fusion:
    """The fusion that a configuration names.

    Args:
        config: Its options.
        widths: Length of each input's embedding.
        targets: What is predicted; late fusion decides on it itself, the others leave it to a head.

    Raises:
        ModelError: If the options do not fit the inputs, or a plugin cannot be used.
    """
    try:
        return FUSIONS[config.name](config, widths, targets)
    except ValueError as error:
        raise ModelError(str(error)) from error
