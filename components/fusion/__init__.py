"""Fusions: embeddings of the inputs that are there → one vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from components.config.fusion import FusionConfig
from components.fusion.concat import Concat
from components.fusion.gated import Gated
from components.fusion.late import Late
from components.fusion.transformer import Transformer

class Fusion(Protocol):
    """The interface of every fusion.

    Attributes:
        inputs: Names in the order of the columns of ``present``: sorted, so that the order in
            the configuration does not matter.
        width: Length of the fused vector.
    """

    inputs: tuple[str, ...]
    width: int

    def __call__(self, embeddings: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """(B, D_m) or (B, T_m, D_m) each and (B, M) bool to (B, width)."""
        ...


FUSIONS: dict[str, Callable[[Any, Mapping[str, int], int], nn.Module]] = {
    "concat": lambda config, widths, outputs: Concat(widths, config.width, config.layers, config.dropout),
    "late": lambda config, widths, outputs: Late(widths, outputs),
    "gated": lambda config, widths, outputs: Gated(widths, config.width, config.dropout),
    "transformer": lambda config, widths, outputs: Transformer(
        widths, config.width, config.layers, config.heads, config.dropout
    ),
}


def build_fusion(config: FusionConfig, widths: Mapping[str, int], outputs: int) -> nn.Module:
    """The fusion that a configuration names.

    Args:
        config: Its options.
        widths: Length of each input's embedding.
        outputs: Number of outputs; late fusion decides on them itself, the others leave it to a head.
    """
    return FUSIONS[config.name](config, widths, outputs)
