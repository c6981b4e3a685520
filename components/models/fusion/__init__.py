"""Fusions: embeddings of the inputs that are there → one vector.

A new fusion is one file with a `Fusion`, a section in components/config/fusion.py and an entry in `FUSIONS`;
one that lives in a distribution of its own is a plugin (components/models/fusion/plugin.py).
"""

from collections.abc import Callable, Mapping

from components.config import FusionConfig
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
from components.models.fusion.trees import TreeFusion
from components.targets import Targets

__all__ = ["FUSIONS", "Fusion", "build_fusion"]

Widths = Mapping[str, int]
"""Length of each input's embedding."""


FUSIONS: dict[str, Callable[..., Fusion]] = {
    "concat": Concat,
    "late": Late,
    "gated": Gated,
    "transformer": Transformer,
    "sum": Sum,
    "tensor": TensorFusion,
    "low_rank": LowRank,
    "multiplicative": Multiplicative,
    "film": FiLM,
    "product_of_experts": ProductOfExperts,
    "cross_attention": CrossAttention,
    "bottleneck": Bottleneck,
    "perceiver": Perceiver,
    "trees": TreeFusion,
    "plugin": load_plugin,
}
"""Class of each fusion, whose arguments are the widths and the options of its section."""


def build_fusion(config: FusionConfig, widths: Widths, targets: Targets) -> Fusion:
    """The fusion that a configuration names.

    Args:
        config: Its options.
        widths: Length of each input's embedding.
        targets: What is predicted; late fusion and trees decide on it themselves, others leave it to a head.

    Raises:
        ModelError: If the options do not fit the inputs, or a plugin cannot be used.
    """
    try:
        return make_fusion(FUSIONS[config.name], config, widths, targets)
    except ValueError as error:
        raise ModelError(str(error)) from error


def make_fusion(
    kind: Callable[..., Fusion], config: FusionConfig, widths: Widths, targets: Targets
) -> Fusion:
    """Make a fusion of an entry of :data:`FUSIONS`; arguments as of :func:`build_fusion`."""
    if config.name == "plugin":
        return kind(config, widths, targets)
    options = config.model_dump(exclude={"name", "modality_dropout"})
    return kind(widths, **options, **({"targets": targets} if config.name in ("late", "trees") else {}))
