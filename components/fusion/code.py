"""What a fusion's result depends on besides options, weights and rows: code."""

from __future__ import annotations

import inspect

from components.config.fusion import FusionConfig, PluginConfig
from components.fusion import embeddings
from components.fusion.plugin import distribution, find_plugin
from components.fusion.protocol import Fusion
from components.storage.digest import code_digest, digest


def fusion_code(fusion: Fusion, config: FusionConfig) -> str:
    """Digest of the code of a fusion, for cache keys.

    It holds the modules in which the classes of the fusion and of its parts stand, those of libraries
    excepted, and for a plugin the name and version of its distribution.
    """
    packages = {"components", _package(type(fusion))}
    kinds = {kind for part in fusion.modules() for kind in type(part).__mro__}
    found = {inspect.getmodule(kind) for kind in kinds if _package(kind) in packages}
    modules = sorted((module for module in found if module), key=lambda module: module.__name__)
    source = [module for module in modules if (module.__file__ or "").endswith(".py")]
    released = distribution(find_plugin(config.plugin)) if isinstance(config, PluginConfig) else ""
    return digest(code_digest(embeddings, *source), released)


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]
