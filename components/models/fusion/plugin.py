"""Fusions of other distributions, found by entry points in the group ``braid.fusions``.

In the ``pyproject.toml`` of a distribution::

    [project.entry-points."braid.fusions"]
    my_fusion = "my_package.fusion:MyFusion"

and in the pipeline file ``fusion: {name: plugin, plugin: my_fusion, options: {width: 64}}``. The class is
a :class:`components.models.fusion.protocol.Fusion`, made as ``MyFusion(widths, targets, **options)``. A whole
example is tests/components/models/fusion/example_plugin.py.
"""

import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from components.config.fusion import ENTRY_POINTS, PluginConfig
from components.errors import ModelError
from components.models.fusion.protocol import Fusion
from components.targets import Targets


def load_plugin(config: PluginConfig, widths: Mapping[str, int], targets: Targets) -> Fusion:
    """The fusion that an entry point names.

    Args:
        config: Entry point and options.
        widths: Length D_m of each input's embedding.
        targets: What is predicted.

    Raises:
        ModelError: If the plugin cannot be imported, is no fusion or refuses its options.
    """
    entry = find_plugin(config.plugin)
    where = f"fusion.plugin: {config.plugin!r} ({entry.value}, {distribution(entry)})"
    try:
        kind: Any = entry.load()
    except Exception as error:  # whatever the import of somebody else's module raises
        raise ModelError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Fusion)):
        raise ModelError(
            f"{where} is {kind!r}; expected a subclass of components.models.fusion.protocol.Fusion"
        )
    try:
        fusion = kind(widths, targets, **config.options)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"fusion.options: {config.options!r} are refused by {where}: {error}. "
            f"It is made as {kind.__name__}{inspect.signature(kind)}"
        ) from error
    inputs, width = getattr(fusion, "inputs", None), getattr(fusion, "width", None)
    if inputs != tuple(sorted(widths)) or not isinstance(width, int):
        raise ModelError(
            f"{where}: expected the attributes inputs = {tuple(sorted(widths))!r} (names, sorted) and width "
            f"(an integer); found {inputs!r} and {width!r}"
        )
    return fusion


def find_plugin(name: str) -> EntryPoint:
    """The entry point of that name.

    Raises:
        ModelError: If not exactly one installed distribution has it.
    """
    entries = list(entry_points(group=ENTRY_POINTS, name=name))
    if len(entries) == 1:
        return entries[0]
    have = ", ".join(distribution(entry) for entry in entries) or "none"
    raise ModelError(
        f"fusion.plugin: {name!r}: expected one installed distribution with this entry point in the group "
        f"{ENTRY_POINTS!r}, found {have}"
    )


def distribution(entry: EntryPoint) -> str:
    """Name and version of the distribution that an entry point comes from."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown distribution"
