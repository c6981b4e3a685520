"""What other distributions add to braid, known by their entry points. Nothing of them is imported here."""

from __future__ import annotations

from importlib.metadata import entry_points

from components.config.explain import nearest

FUSIONS = "braid.fusions"


def must_be_installed(group: str, name: str) -> str:
    """Give ``name`` back if an installed distribution has an entry point of that name in the group.

    Raises:
        ValueError: If none has; names those there are and the nearest spelling.
    """
    known = sorted({entry.name for entry in entry_points(group=group)})
    if name in known:
        return name
    if not known:
        raise ValueError(
            f"{name!r} is not installed, nor is any other: no distribution has entry points in the group "
            f"{group!r}. Install the one that should into this environment"
        )
    raise ValueError(f"{name!r} is not one of those installed: {', '.join(known)}.{nearest(name, known)}")
