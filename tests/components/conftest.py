"""A tiny real pipeline of three inputs, from manifest to bundle, built once."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from PIL import Image

from components.config import PipelineConfig
from components.pipeline.run import BuiltModel, build_model
from components.report import page
from tests.components.small_evaluations import (
    make_arguments,  # noqa: F401  (fixtures)
    make_arguments_of,  # noqa: F401
    make_evaluation,  # noqa: F401
    make_evaluation_of,  # noqa: F401
)

Result = TypeVar("Result")
CLASSES = ("ant", "bee", "cat")
SPLITS = {"train": 48, "val": 24, "test": 24}
WORDS = {"ant": "small worker of the hill", "bee": "small worker with honey", "cat": "soft hunter by night"}
CITIES = {"ant": "Bonn", "bee": "Köln", "cat": "Köln"}


def finish(steps: Generator[Any, None, Result]) -> Result:
    """Run a training to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def write_manifest(folder: Path, seed: int = 0) -> Path:
    """96 rows, in each split all classes; here and there a cell is empty, never a whole row."""
    rng = np.random.default_rng(seed)
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", "photo", "note", "age", "city"])
        for split, rows in SPLITS.items():
            for row in range(rows):
                label = CLASSES[row % 3]
                name = f"photos/{split}{row:02d}.png"
                level = 60 * (row % 3) + rng.integers(0, 90, (16, 16, 3))  # neighbours overlap
                Image.fromarray(level.astype(np.uint8)).save(folder / name)
                age = round(float(rng.normal([20, 30, 40][row % 3], 8)), 4)
                cells = [name, f"{WORDS[label]} {split}{row}", age, CITIES[label]]
                if row % 8 == 5:
                    cells[0] = ""
                if row % 8 == 6:
                    cells[1] = ""
                if row % 8 == 7:
                    cells[2:] = ["", ""]
                writer.writerow([f"{split}-{row}", split, label, *cells])
    return folder / "rows.csv"


def configure(**changes: Any) -> PipelineConfig:
    """The tiny pipeline; changes replace whole sections."""
    fit = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01}
    values: dict[str, Any] = {
        "name": "tiny",
        "data": {"source": "rows.csv", "split": {"column": "split"}},
        "inputs": {
            "photo": {
                "modality": "image",
                "columns": "photo",
                "size": 16,
                "encoder": {"name": "cnn", "width": 8, "channels": [4]},
                "fit": fit,
            },
            "note": {
                "modality": "text",
                "columns": "note",
                "encoder": {"name": "ngrams", "width": 8, "buckets": 512},
                "fit": {
                    **fit,
                    "epochs": 15,
                },  # the one input that tells the classes apart, so it has to learn
            },
            "facts": {
                "modality": "tabular",
                "columns": ["age", "city"],
                "encoder": {"name": "mlp", "width": 8, "hidden": [8]},
                "fit": fit,
            },
        },
        "fusion": {"name": "gated", "width": 8},
        "training": {**fit, "folds": 2, "refit": "none"},
        "evaluation": {"bootstrap": 100},
        "engine": {"device": "cpu", "shard_rows": 40},
    }
    return PipelineConfig.model_validate({**values, **changes})


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny manifest; not to be changed."""
    folder = tmp_path_factory.mktemp("tiny-data")
    write_manifest(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    """The tiny pipeline, built; not to be changed."""
    return build_model(configure(), tmp_path_factory.mktemp("tiny"), tiny_data)


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """Folder of a tiny manifest of one's own."""
    write_manifest(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports whose figures are empty: to draw them is most of what a report takes."""
    monkeypatch.setattr(page, "svg", lambda figure: "<svg></svg>")


@pytest.fixture(scope="session")
def config() -> Callable[..., PipelineConfig]:
    return configure


@pytest.fixture(scope="session")
def build() -> Callable[[PipelineConfig, Path, Path], BuiltModel]:
    return build_model


@pytest.fixture(scope="session")
def run_to_end() -> Callable[[Generator[Any, None, Result]], Result]:
    return finish
