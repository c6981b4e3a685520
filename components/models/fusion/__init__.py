"""Fusions: embeddings of the inputs that are there → one vector.

A new fusion is one file with a `Fusion`, a section in components/config/fusion.py and an entry in `FUSIONS`;
one that lives in a distribution of its own is a plugin (components/models/fusion/plugin.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

from components.config.fusion import (
    BottleneckConfig,
    ConcatConfig,
    CrossAttentionConfig,
    FiLMConfig,
    FusionConfig,
    GatedConfig,
    LateConfig,
    LowRankConfig,
    MultiplicativeConfig,
    PerceiverConfig,
    ProductOfExpertsConfig,
    SumConfig,
    TensorConfig,
    TransformerConfig,
)
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

Widths = Mapping[str, int]
"""Length of each input's embedding."""


def _concat(config: ConcatConfig, widths: Widths, targets: Targets) -> Concat:
    return Concat(widths, config.width, config.layers, config.dropout)


def _late(config: LateConfig, widths: Widths, targets: Targets) -> Late:
    return Late(widths, targets)


def _gated(config: GatedConfig, widths: Widths, targets: Targets) -> Gated:
    return Gated(widths, config.width, config.dropout)


def _transformer(config: TransformerConfig, widths: Widths, targets: Targets) -> Transformer:
    return Transformer(widths, config.width, config.layers, config.heads, config.dropout)


def _sum(config: SumConfig, widths: Widths, targets: Targets) -> Sum:
    return Sum(widths, config.width, config.reduction, config.dropout)


def _tensor(config: TensorConfig, widths: Widths, targets: Targets) -> TensorFusion:
    return TensorFusion(widths, config.width, config.factor_width, config.dropout)


def _low_rank(config: LowRankConfig, widths: Widths, targets: Targets) -> LowRank:
    return LowRank(widths, config.width, config.rank, config.dropout)


def _multiplicative(config: MultiplicativeConfig, widths: Widths, targets: Targets) -> Multiplicative:
    return Multiplicative(widths, config.width, config.factor_width, config.dropout)


def _film(config: FiLMConfig, widths: Widths, targets: Targets) -> FiLM:
    return FiLM(widths, config.width, config.dropout)


def _product_of_experts(config: ProductOfExpertsConfig, widths: Widths, targets: Targets) -> ProductOfExperts:
    return ProductOfExperts(widths, config.width, config.dropout)


def _cross_attention(config: CrossAttentionConfig, widths: Widths, targets: Targets) -> CrossAttention:
    return CrossAttention(widths, config.width, config.layers, config.heads, config.dropout)


def _bottleneck(config: BottleneckConfig, widths: Widths, targets: Targets) -> Bottleneck:
    return Bottleneck(widths, config.width, config.layers, config.bottlenecks, config.heads, config.dropout)


def _perceiver(config: PerceiverConfig, widths: Widths, targets: Targets) -> Perceiver:
    return Perceiver(widths, config.width, config.layers, config.latents, config.heads, config.dropout)


FUSIONS: dict[str, Callable[[Any, Widths, Targets], Fusion]] = {
    "concat": _concat,
    "late": _late,
    "gated": _gated,
    "transformer": _transformer,
    "sum": _sum,
    "tensor": _tensor,
    "low_rank": _low_rank,
    "multiplicative": _multiplicative,
    "film": _film,
    "product_of_experts": _product_of_experts,
    "cross_attention": _cross_attention,
    "bottleneck": _bottleneck,
    "perceiver": _perceiver,
    "plugin": load_plugin,
}


def build_fusion(config: FusionConfig, widths: Widths, targets: Targets) -> Fusion:
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
