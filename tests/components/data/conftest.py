"""Tiny real files and pipelines for tests of ingest."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from components.config import PipelineConfig
from components.data.ingest import ingest
from components.references import Dataset

TEXT = {"note": {"modality": "text", "columns": "text"}}


def _picture(path: Path, value: int = 0, size: tuple[int, int] = (16, 12)) -> Path:
    """An image whose content depends on ``value``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def _sound(path: Path, frequency: float = 440.0, seconds: float = 0.1, rate: int = 8000) -> Path:
    """A sine of amplitude 0.5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    sf.write(path, 0.5 * np.sin(2 * np.pi * frequency * time), rate)
    return path


def _manifest(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A CSV file of the rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _text_rows(count: int = 20, **more: Any) -> list[dict[str, Any]]:
    """Rows with a text, two classes and a given split (10 % val, 10 % test, at least)."""
    splits = ["val", "val", "test", "test"] + ["train"] * (count - 4)
    return [
        {"id": f"r{row}", "text": f"text {row}", "label": "ab"[row % 2], "split": splits[row], **more}
        for row in range(count)
    ]


def _pipeline(source: Path | str, inputs: Mapping[str, Any], **data: Any) -> PipelineConfig:
    """A pipeline with a given split column unless ``split`` says otherwise."""
    top = {key: data.pop(key) for key in ("target", "further_targets", "seed") if key in data}
    section = {"source": str(source), "split": {"column": "split"}, **data}
    return PipelineConfig.model_validate({"name": "t", "data": section, "inputs": dict(inputs), **top})


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Dataset]:
    """Ingest a source into ``tmp_path/out``."""

    def call(source: Path | str, inputs: Mapping[str, Any] = TEXT, **data: Any) -> Dataset:
        return ingest(_pipeline(source, inputs, **data), tmp_path / "out", tmp_path)

    return call


@pytest.fixture
def picture() -> Callable[..., Path]:
    return _picture


@pytest.fixture
def sound() -> Callable[..., Path]:
    return _sound


@pytest.fixture
def manifest() -> Callable[..., Path]:
    return _manifest


@pytest.fixture
def text_rows() -> Callable[..., list[dict[str, Any]]]:
    return _text_rows


@pytest.fixture
def pipeline() -> Callable[..., PipelineConfig]:
    return _pipeline
