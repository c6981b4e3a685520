"""Data sets that need no file and no network: made where they are asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType

from filelock import FileLock

from components.data.sources import demo, demo_views
from components.storage.atomic import replacing
from components.storage.digest import code_digest

EMBEDDED: dict[str, ModuleType] = {"demo": demo, "demo-views": demo_views}
"""By ``data.source``: modules with ``generate(folder, seed)``."""


def materialise(name: str, folder: Path, seed: int) -> Path:
    """Make a data set unless it is there already; the same files for the same seed.

    Args:
        name: One of EMBEDDED.
        folder: Becomes the data set's folder, whole or not at all.
        seed: Of everything generated.

    Returns:
        Path of its ``manifest.csv``.
    """
    module = EMBEDDED[name]
    version = {"seed": seed, "code": code_digest(module)}
    marker = folder / "done.json"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not marker.exists() or json.loads(marker.read_text("utf-8")) != version:
            if folder.exists():
                shutil.rmtree(folder)
            with replacing(folder) as temporary:
                module.generate(temporary, seed)
                (temporary / marker.name).write_text(json.dumps(version), "utf-8")
    return folder / "manifest.csv"
