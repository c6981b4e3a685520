"""Fusions: embeddings of the inputs that are there → one vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from components.config.fusion import FusionConfig
from components.fusion.concat import Concat
from components.fusion.gated import Gated
from components.fusion.late import Late
from components.fusion.protocol import Fusion
from components.fusion.transformer import Transformer

__all__ = ["FUSIONS", "Fusion", "build_fusion"]

FUSIONS: dict[str, Callable[[Any, Mapping[str, int], int], Fusion]] = {
    "concat": lambda config, widths, outputs: Concat(widths, config.width, config.layers, config.dropout),
    "late": lambda config, widths, outputs: Late(widths, outputs),
    "gated": lambda config, widths, outputs: Gated(widths, config.width, config.dropout),
    "transformer": lambda config, widths, outputs: Transformer(
        widths, config.width, config.layers, config.heads, config.dropout
    ),
}


def build_fusion(config: FusionConfig, widths: Mapping[str, int], outputs: int) -> Fusion:
    """The fusion that a configuration names.

    Args:
        config: Its options.
        widths: Length of each input's embedding.
        outputs: Number of outputs; late fusion decides on them itself, the others leave it to a head.
    """
    return FUSIONS[config.name](config, widths, outputs)
