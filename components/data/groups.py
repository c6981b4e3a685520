"""Which columns of a manifest are called like people, places or occasions that give several rows."""

from __future__ import annotations

import re

_GROUPS = frozenset(
    {
        "speaker",
        "patient",
        "subject",
        "participant",
        "person",
        "user",
        "customer",
        "client",
        "author",
        "writer",
    }
    | {"reader", "session", "site", "hospital", "clinic", "device", "camera", "scene", "video", "recording"}
    | {"family", "household", "donor", "animal", "plant", "station", "group"}
)


def looks_like_group(column: str) -> bool:
    """Whether a column is called like people, places or occasions that give several rows."""
    return any(word.rstrip("s") in _GROUPS for word in re.split(r"[^a-z]+", column.lower()))
