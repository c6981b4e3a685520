"""What a fusion's result depends on besides options, weights and rows: code."""

from __future__ import annotations

import inspect
from types import ModuleType

from components.config.fusion import FusionConfig, PluginConfig
from components.models.fusion import masking
from components.models.fusion.plugin import distribution, find_plugin
from components.models.fusion.protocol import Fusion
from components.storage.digest import code_digest, digest


def fusion_code(fusion: Fusion, config: FusionConfig) -> str:
    """Digest of the code of a fusion, for cache keys; for a plugin with its distribution and version."""
    released = distribution(find_plugin(config.plugin)) if isinstance(config, PluginConfig) else ""
    return digest(code_digest(*modules_of(fusion)), released)


def modules_of(fusion: Fusion) -> list[ModuleType]:
    """Modules that the classes of a fusion and of its parts stand in, sorted; libraries' are left out.

    Of a plugin these are modules of its own package; what it has compiled or only calls is told by its
    version.
    """
    packages = {"components", _package(type(fusion))}
    kinds = {kind for part in fusion.modules() for kind in type(part).__mro__}
    found = {masking, *(inspect.getmodule(kind) for kind in kinds if _package(kind) in packages)}
    source = [module for module in found if module and (module.__file__ or "").endswith(".py")]
    return sorted(source, key=lambda module: module.__name__)


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]
