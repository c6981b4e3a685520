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
from components.targets import Targets

__all__ = ["FUSIONS", "Fusion", "build_fusion"]

FUSIONS: dict[str, Callable[[Any, Mapping[str, int], Targets], Fusion]] = {
    "concat": lambda config, widths, targets: Concat(widths, config.width, config.layers, config.dropout),
    "late": lambda config, widths, targets: Late(widths, targets),
    "gated": lambda config, widths, targets: Gated(widths, config.width, config.dropout),
    "transformer": lambda config, widths, targets: Transformer(
        widths, config.width, config.layers, config.heads, config.dropout
    ),
}


def build_fusion(config: FusionConfig, widths: Mapping[str, int], targets: Targets) -> Fusion:
    """The fusion that a configuration names.

    Args:
        config: Its options.
        widths: Length of each input's embedding.
        targets: What is predicted; late fusion decides on it itself, the others leave it to a head.
    """
    return FUSIONS[config.name](config, widths, targets)
