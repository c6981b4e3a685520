"""Findings about media, and the depth that image inputs learn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from components.config.inputs import ImageInput
from components.data.samples import open_samples_table
from components.pipeline.preprocess import prepare
from components.preprocess import load_preprocessor
from components.references import Dataset, Prepared
from components.storage.shards import ShardStore

Run = Callable[..., Dataset]
SPECIMEN = np.random.default_rng(0).random((16, 16))


def photos(folder: Path, bits: int, suffix: str = "png", columns: int = 1) -> list[dict[str, Any]]:
    """Rows with the same specimens as a camera of so many bits takes them, in files of 16 bits."""
    folder.mkdir(exist_ok=True)
    rows = []
    for row in range(20):
        cells = {}
        for column in range(columns):
            light = np.roll(SPECIMEN, row + column, axis=0) * (0.5 + row / 40)
            name = f"{row}-{column}.{suffix}"
            Image.fromarray(np.rint((2**bits - 1) * light).astype(np.uint16)).save(folder / name)
            cells["photo" if not column else f"photo{column}"] = name
        split = "train" if row % 5 else "val" if row % 10 else "test"
        rows.append({"id": f"r{row}", **cells, "label": "ab"[row // 2 % 2], "split": split})
    return rows


def prepared(dataset: Dataset, tmp_path: Path, **options: Any) -> tuple[Prepared, np.ndarray]:
    """The input photo in its canonical form: uint8 (20, 16, 16, 3), in the order of the ids."""
    section = ImageInput.model_validate({"columns": "photo", "size": 16, **options})
    reference = prepare(dataset, "photo", section, tmp_path / "cache", 100)
    _, digests = open_samples_table(dataset).digests("photo")
    return reference, ShardStore(Path(reference.store), "arrow").stack(digests)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_the_same_specimens_look_alike_from_every_camera(
    tmp_path: Path, run: Run, manifest: Callable[..., Path], suffix: str
) -> None:
    seen = {}
    for bits in (10, 12, 14, 16):
        folder = tmp_path / str(bits)
        rows = photos(folder, bits, suffix)
        inputs = {"photo": {"modality": "image", "columns": "photo", "size": 16}}
        dataset = run(manifest(folder / "rows.csv", rows), inputs)
        assert len(dataset.findings) == 1
        assert f"photo: images that do not tell their depth are taken for {bits} bits" in dataset.findings[0]
        reference, seen[bits] = prepared(dataset, tmp_path)
        state = json.loads(Path(reference.state).read_text())
        assert state["bits"] == bits, "kept with the model"
        again = load_preprocessor(state).canonical(
            folder / "3-0.tif" if suffix == "tif" else folder / "3-0.png"
        )
        assert (again == seen[bits][3]).all()
    for bits in (10, 12, 14):
        assert np.abs(seen[bits].astype(int) - seen[16]).max() <= 1


def test_the_depth_may_be_given(tmp_path: Path, run: Run, manifest: Callable[..., Path]) -> None:
    rows = photos(tmp_path / "given", 10)
    inputs = {"photo": {"modality": "image", "columns": "photo", "size": 16, "bits": 12}}
    dataset = run(manifest(tmp_path / "given" / "rows.csv", rows), inputs)
    assert dataset.findings == (
        "photo: images that do not tell their depth are taken for 12 bits (inputs.photo.bits).",
    )
    _, seen = prepared(dataset, tmp_path, bits=12)
    assert 50 < seen.max() < 70, "a quarter of the scale"


def test_several_images_per_row_share_a_depth(
    tmp_path: Path, run: Run, manifest: Callable[..., Path]
) -> None:
    rows = photos(tmp_path / "several", 12, columns=2)
    inputs = {"photo": {"modality": "image", "columns": ["photo", "photo1"], "size": 16}}
    dataset = run(manifest(tmp_path / "several" / "rows.csv", rows), inputs)
    reference, seen = prepared(dataset, tmp_path, columns=["photo", "photo1"])
    assert json.loads(Path(reference.state).read_text())["bits"] == 12
    assert seen.shape == (20, 2, 16, 16, 3)
    assert seen.max() > 240


def test_images_of_nearly_one_colour_are_counted(
    tmp_path: Path, run: Run, manifest: Callable[..., Path]
) -> None:
    rows = photos(tmp_path / "flat", 16)
    for row in range(3):
        Image.new("RGB", (16, 16), (9, 9, 9 + row)).save(tmp_path / "flat" / f"{row}-0.png")
    inputs = {"photo": {"modality": "image", "columns": "photo"}}
    dataset = run(manifest(tmp_path / "flat" / "rows.csv", rows), inputs)
    assert dataset.findings[-1] == "photo: 3 of 20 images are nearly one colour."


def test_nearly_silent_sounds_are_counted(tmp_path: Path, run: Run, manifest: Callable[..., Path]) -> None:
    wave = np.sin(np.arange(800) / 5)
    rows = []
    for row in range(20):
        left = wave * (5e-4 if row < 4 else 0.5)
        sf.write(tmp_path / f"{row}.wav", np.stack([left, -left], axis=1), 8000, subtype="FLOAT")
        split = "train" if row % 5 else "val" if row % 10 else "test"
        rows.append({"id": row, "voice": f"{row}.wav", "label": "ab"[row // 2 % 2], "split": split})
    dataset = run(manifest(tmp_path / "rows.csv", rows), {"voice": {"modality": "audio", "columns": "voice"}})
    assert dataset.findings == ("voice: 4 of 20 clips are nearly silent (below -60 dB of full scale).",)
