"""Code that the results of encoders and fusions depend on, as part of cache keys."""

from torch import nn

from components.config.encoders import AnyEncoderConfig, CompositeConfig
from components.config.fusion import FusionConfig, PluginConfig
from components.models.encoders import ENCODERS, Encoder
from components.models.encoders.composite import Composite
from components.models.fusion import FUSIONS, make_fusion
from components.models.fusion.plugin import distribution, find_plugin
from components.models.fusion.protocol import Fusion
from components.storage.closure import code_digest
from components.storage.digest import digest


def encoder_code(encoder: Encoder, config: AnyEncoderConfig) -> str:
    """Digest of the code that builds an encoder and of all that its parts can reach.

    Args:
        encoder: Network of an input.
        config: Options that it was built from.
    """
    if isinstance(config, CompositeConfig):
        assert isinstance(encoder, Composite)
        parts = zip(encoder.encoders, config.encoders, strict=True)
        return digest(code_digest(Composite), *(encoder_code(*each) for each in parts))
    return code_digest(ENCODERS[config.name], *classes_of(encoder))


def fusion_code(fusion: Fusion, config: FusionConfig) -> str:
    """Digest of the code that builds a fusion and of all that its parts can reach.

    A plugin's digest also holds the name and the version of its distribution. They stand for compiled parts
    of the plugin and for other packages that it uses.

    Args:
        fusion: Network that joins embeddings.
        config: Options that it was built from.
    """
    released = distribution(find_plugin(config.plugin)) if isinstance(config, PluginConfig) else ""
    return digest(code_digest(FUSIONS[config.name], make_fusion, *classes_of(fusion)), released)


def classes_of(network: nn.Module) -> list[type[nn.Module]]:
    """Classes of a network's parts in the order of the parts, without those of libraries."""
    packages = {_package(Encoder), _package(type(network))}
    return list(dict.fromkeys(type(part) for part in network.modules() if _package(type(part)) in packages))


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]
