"""Data sets that braid generates itself, without any file or network."""

import json
import shutil
from pathlib import Path
from types import ModuleType

from filelock import FileLock

from components.data.sources import demo, demo_views
from components.storage.atomic import replacing
from components.storage.closure import code_digest

EMBEDDED: dict[str, ModuleType] = {"demo": demo, "demo-views": demo_views}
"""Modules with ``generate(folder, seed)``, by ``data.source``."""


def materialise(name: str, folder: Path, seed: int) -> Path:
    """Generate a data set unless it exists; equal seeds give equal files.

    Args:
        name: Key of EMBEDDED.
        folder: Folder of the data set, written atomically.
        seed: Seed of everything that is generated.

    Returns:
        Path of its ``manifest.csv``.
    """
    module = EMBEDDED[name]
    version = {"seed": seed, "code": code_digest(module.generate)}
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
