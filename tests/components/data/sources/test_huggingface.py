"""Data sets of the `datasets` library, saved to disk."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile as sf
from PIL import Image

from components.errors import DataError

datasets = pytest.importorskip("datasets")
Make = Callable[..., Any]
INPUTS = {"image": {"modality": "image", "columns": "image"}}


def pictures(count: int) -> list[Image.Image]:
    return [Image.fromarray(np.full((8, 8, 3), 10 * number, np.uint8)) for number in range(count)]


def saved(folder: Path, **splits: int) -> Path:
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    parts = {
        split: datasets.Dataset.from_dict(
            {"image": pictures(count), "label": [number % 2 for number in range(count)]}, features=features
        )
        for split, count in splits.items()
    }
    datasets.DatasetDict(parts).save_to_disk(str(folder))
    return folder


def test_splits_class_names_and_embedded_pictures_are_taken_over(tmp_path: Path, run: Make) -> None:
    dataset = run(saved(tmp_path / "pets", train=10, validation=4, test=6), INPUTS, split={})
    samples = pd.read_parquet(dataset.samples)
    assert dataset.splits == {"train": 10, "val": 4, "test": 6}
    assert dataset.targets.primary.classes == ("cat", "dog")
    assert samples["id"].tolist() == [str(row) for row in range(20)]
    with Image.open(samples["image.path"][3]) as image:
        assert np.asarray(image)[0, 0].tolist() == [30, 30, 30]


def test_val_is_drawn_from_train_where_there_is_none(tmp_path: Path, run: Make) -> None:
    dataset = run(saved(tmp_path / "pets", train=20, test=6), INPUTS, split={"val": 0.2})
    samples = pd.read_parquet(dataset.samples)
    assert dataset.splits["test"] == 6
    assert dataset.splits["train"] + dataset.splits["val"] == 20
    assert dataset.splits["val"] > 0
    assert samples["split"].tolist()[20:] == ["test"] * 6


def test_a_data_set_without_splits_is_drawn_by_fraction(tmp_path: Path, run: Make) -> None:
    part = datasets.Dataset.from_dict(
        {
            "words": [f"word {row}" if row % 3 != 1 else None for row in range(30)],
            "kind": ["x", "y", "y"] * 10,
        }
    )
    part.save_to_disk(str(tmp_path / "notes"))
    dataset = run(
        tmp_path / "notes",
        {"note": {"modality": "text", "columns": "words"}},
        split={},
        target={"column": "kind"},
        max_bad=0.4,
    )
    assert dataset.quarantined == 10  # rows without their only input
    assert dataset.rows == 20


def test_splits_of_other_names_are_left_out_with_a_warning(
    tmp_path: Path, run: Make, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = run(saved(tmp_path / "pets", train=10, validation=4, test=6, unsupervised=8), INPUTS, split={})
    assert dataset.rows == 20
    assert "unsupervised (8 rows)" in caplog.text


def test_embedded_sound_is_not_decoded_on_the_way(tmp_path: Path, run: Make) -> None:
    clips = []
    for number in range(12):
        file = io.BytesIO()
        sf.write(file, np.sin(np.arange(800) * (number + 1) / 20), 8000, format="WAV")
        clips.append({"bytes": file.getvalue(), "path": None})
    part = datasets.Dataset.from_dict({"clip": clips, "label": ["a", "b"] * 6})
    part.cast_column("clip", datasets.Audio()).save_to_disk(str(tmp_path / "clips"))
    dataset = run(tmp_path / "clips", {"voice": {"modality": "audio", "columns": "clip"}}, split={})
    samples = pd.read_parquet(dataset.samples)
    assert dataset.rows == 12
    assert Path(samples["voice.path"][0]).read_bytes() == clips[0]["bytes"]


def test_a_hub_id_without_network_says_what_to_do(run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"save_to_disk\('folder'\) and give that folder"):
        run("braid-tests/no-such-set", INPUTS, format="huggingface")


def test_an_impossible_date_costs_its_row_alone(tmp_path: Path, run: Make) -> None:
    days = np.array(["2024-01-01"] * 39 + ["20239-01-08"], "datetime64[us]")
    table = pa.table({"id": [f"r{n}" for n in range(40)], "label": ["a", "b"] * 20, "when": days})
    datasets.Dataset(table).save_to_disk(str(tmp_path / "d"))
    inputs = {"facts": {"modality": "tabular", "columns": ["when"]}}
    dataset = run(tmp_path / "d", inputs, split={"column": None})
    assert pd.read_parquet(dataset.quarantine)["id"].tolist() == ["r39"]
