"""Rows for benchmarks of size: numbers, text and small images of ten classes, the same for a seed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from components.config.pipeline import PipelineConfig
from components.storage.atomic import replacing

CLASSES = 10
SIDE = 64  # pixels
TABLE = ["a", "b", "c", "kind", "old"]
_PART = 20_000  # rows made at a time
_WORDS = 4000
_TEXT = 8  # words
_FOLDER = 1000  # images


@dataclass(frozen=True)
class Change:
    """Rows that differ from the first draw.

    Attributes:
        share: Share of all rows, evenly spread.
        images: True if their images change too.
    """

    share: float
    images: bool


def write_rows(
    folder: Path, rows: int, inputs: Sequence[str], seed: int = 0, change: Change | None = None
) -> Path:
    """Write ``manifest.csv``, and images below ``images/`` that are new or have changed.

    Args:
        folder: Folder of manifest and images.
        rows: Number of rows.
        inputs: Inputs among ``table``, ``text`` and ``image``.
        seed: Seed of all draws.
        change: Rows to draw anew.

    Returns:
        Path of the manifest.
    """
    path = folder / "manifest.csv"
    with replacing(path) as temporary:
        for number, part in enumerate(_parts(folder, rows, inputs, seed, change)):
            part.to_csv(temporary, mode="a", header=number == 0, index=False)
    return path


def pipeline_of(manifest: Path, inputs: Sequence[str], **sections: Any) -> PipelineConfig:
    """Make a pipeline over such a manifest, with small encoders from scratch."""
    known: dict[str, dict[str, Any]] = {
        "table": {"modality": "tabular", "columns": TABLE, "encoder": {"name": "mlp", "width": 64}},
        "text": {"modality": "text", "columns": "text", "encoder": {"name": "ngrams", "width": 64}},
        "image": {
            "modality": "image",
            "columns": "image",
            "size": SIDE,
            "encoder": {"name": "cnn", "width": 64, "channels": [8, 16, 32]},
        },
    }
    return PipelineConfig.model_validate(
        {
            "name": "generated",
            "data": {"source": str(manifest)},
            "target": {"column": "label"},
            "inputs": {name: known[name] for name in inputs},
            **sections,
        }
    )


def _parts(
    folder: Path, rows: int, inputs: Sequence[str], seed: int, change: Change | None
) -> Iterator[pd.DataFrame]:
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    rng = np.random.default_rng(seed)
    words = np.array(["".join(rng.choice(letters, rng.integers(3, 9))) for _ in range(_WORDS)], object)
    every = round(1 / change.share) if change is not None else 0
    for start in range(0, rows, _PART):
        stop = min(start + _PART, rows)
        number = np.arange(start, stop)
        changed = number % every == 0 if every else np.zeros(len(number), bool)
        first = _draw(words, number, np.random.default_rng([seed, 1, start]))
        if changed.any():
            other = _draw(words, number, np.random.default_rng([seed, 2, start]))
            other["label"] = first["label"]
            first.loc[changed, [*TABLE, "text"]] = other.loc[changed, [*TABLE, "text"]]
        columns = ["id", "label"]
        if "table" in inputs:
            columns += TABLE
        if "text" in inputs:
            columns.append("text")
        if "image" in inputs:
            first["image"] = [f"images/{row // _FOLDER:05d}/{row:08d}.jpg" for row in number]
            columns.append("image")
            _draw_images(folder, first, changed if change is not None and change.images else None, seed)
        yield first[columns]


def _draw(words: np.ndarray, number: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the cells of some rows; each input alone tells the class in part."""
    rows = len(number)
    label = rng.integers(CLASSES, size=rows)
    own = rng.random((rows, _TEXT)) < 0.15  # words of a class are those whose number ends with it
    drawn = rng.integers(_WORDS // CLASSES, size=(rows, _TEXT)) * CLASSES
    chosen = words[drawn + np.where(own, label[:, None], rng.integers(CLASSES, size=(rows, _TEXT)))]
    return pd.DataFrame(
        {
            "id": [f"row-{row:08d}" for row in number],
            "label": [f"class {name}" for name in label],
            "a": np.round(rng.normal(label, 4.0), 4),
            "b": np.round(rng.normal(-label, 4.0), 4),
            "c": np.round(rng.exponential(1.0 + label), 4),
            "kind": [f"kind {kind}" for kind in (label + rng.integers(12, size=rows)) % 20],
            "old": np.where(rng.random(rows) < 0.3 + 0.04 * label, "yes", "no"),
            "text": [" ".join(row) for row in chosen],
        }
    )


def _draw_images(folder: Path, rows: pd.DataFrame, changed: np.ndarray | None, seed: int) -> None:
    """Draw JPEG files: a coarse random pattern under a tint of the class."""
    tints = np.random.default_rng(seed).integers(60, 196, (CLASSES, 3))
    for row, (name, label) in enumerate(zip(rows["image"], rows["label"], strict=True)):
        path = folder / name
        anew = changed is not None and bool(changed[row])
        if path.exists() and not anew:
            continue
        rng = np.random.default_rng([seed, int(path.stem), int(anew)])
        coarse = rng.normal(tints[int(label.split()[1])], 50, (8, 8, 3)).clip(0, 255).astype(np.uint8)
        image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        data = io.BytesIO()
        image.save(data, "JPEG", quality=85)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.getvalue())
