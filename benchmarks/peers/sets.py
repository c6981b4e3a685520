"""Data sets of the comparison: named ones, whose folder is given, and any pipeline file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.config.load import configured, read_pipeline
from components.config.pipeline import PipelineConfig
from components.errors import ConfigError

_FACTS = [
    *("n_args", "n_defaults", "varargs", "annotated", "decorators", "method", "depth", "lines", "doc_lines"),
    *("doc_chars", "nodes", "calls", "loops", "ifs", "returns", "raises", "is_async", "first_decorator"),
]
_VIEWS = dict(enumerate((240, 76, 216, 47, 64, 6), start=1))


def _input(modality: str, *columns: str, **options: Any) -> dict[str, Any]:
    return {"modality": modality, "columns": list(columns), **options}


def _columns(prefix: str, number: int, digits: int = 3) -> list[str]:
    return [f"{prefix}_{column:0{digits}d}" for column in range(number)]


_IMAGE_AND_AUDIO = {
    "image": _input("image", "image", size=28),
    "audio": _input("audio", "audio", rate=8000, seconds=1.0),
}
# name: (manifest, target, inputs); encoders and folds are left to their defaults
SETS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "docs": (
        "docs/manifest.csv",
        "package",
        {
            "doc": _input("text", "doc"),
            "function": _input("text", "name"),
            "facts": _input("tabular", *_FACTS),
        },
    ),
    "emoji": (
        "emoji/manifest.csv",
        "group",
        {"image": _input("image", "image", size=72), "keywords": _input("text", "keywords")},
    ),
    "avdigits": ("avdigits/manifest.csv", "label", _IMAGE_AND_AUDIO),
    "avdigits-hard": ("avdigits-hard/manifest.csv", "label", _IMAGE_AND_AUDIO),
    "omics": (
        "omics/manifest.csv",
        "diagnosis",
        {name: _input("tabular", *_columns(name, 200)) for name in ("mrna", "methylation", "mirna")},
    ),
    "views6": (
        "views6/manifest.parquet",
        "digit",
        {f"view{view}": _input("tabular", *_columns(f"view{view}", size)) for view, size in _VIEWS.items()},
    ),
    "grocery": ("grocery/manifest.csv", "product", {"photo": _input("image", "photo", size=128)}),
}


def values_of(name: str, data: Path | None) -> tuple[dict[str, Any], Path]:
    """Give the values of a set's pipeline file and the folder that its paths are relative to.

    Args:
        name: A name of :data:`SETS`, or the path of a pipeline file.
        data: Folder of the named sets.

    Raises:
        ConfigError: If it is neither, or the folder is wanting.
    """
    if name not in SETS:
        if not Path(name).is_file():
            raise ConfigError(f"--sets {name}: no pipeline file, and not one of: {', '.join(SETS)}")
        return read_pipeline(Path(name)), Path(name).resolve().parent
    manifest, target, inputs = SETS[name]
    if data is None or not (data / manifest).is_file():
        raise ConfigError(f"--sets {name}: give the folder that holds {manifest} by --data DIR (got {data})")
    values = {
        "name": name,
        "data": {"source": str((data / manifest).resolve()), "split": {"column": "split"}},
        "target": {"column": target},
        "inputs": inputs,
    }
    return values, data.resolve()


def open_set(
    name: str, data: Path | None, overrides: Sequence[str]
) -> tuple[PipelineConfig, dict[str, Any], Path]:
    """Check a set's pipeline; see :func:`values_of`."""
    values, base = values_of(name, data)
    return configured(values, overrides, name), values, base
