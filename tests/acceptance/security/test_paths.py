"""A manifest names files in its own folder and in those that have been declared, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.config import PipelineConfig
from components.config.score import ScoreConfig
from components.data.files.policy import OutsideError, require_inside
from components.data.ingest import ingest
from components.references import Dataset
from components.scoring.rows import open_rows, read_chunks


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A data folder, another one beside it, and a secret image elsewhere."""
    for folder in ("data", "photos", "secret"):
        (tmp_path / folder).mkdir()
        for row in range(14):
            pixels = np.random.default_rng(row).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{row}.png")
    return tmp_path


def table(places: Path, cells: dict[int, str]) -> Path:
    rows = [
        {"id": f"r{row}", "split": ["train", "train", "train", "train", "val", "test"][row % 6]
         , "label": "ab"[row % 2], "image": cells.get(row, f"{row}.png")}
        for row in range(12)
    ]  # fmt: skip
    rows += [{"id": f"r{row}", "split": split, "label": "ab"[row % 2], "image": f"{row}.png"}
             for row, split in ((12, "val"), (13, "test"))]  # fmt: skip
    path = places / "data" / "rows.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def ingested(places: Path, cells: dict[int, str], **data: Any) -> Dataset:
    values = {
        "name": "t",
        "data": {"source": str(table(places, cells)), "split": {"column": "split"}, "max_bad": 0.5, **data},
        "inputs": {"image": {"modality": "image", "columns": "image"}},
    }
    return ingest(PipelineConfig.model_validate(values), places / "out", places)


@pytest.mark.parametrize(
    "cell",
    [
        "../secret/0.png",
        "a/../../secret/0.png",
        "..\\secret\\0.png",
        "{places}/secret/0.png",
        "file://{places}/secret/0.png",
        "file://localhost{places}/secret/0.png",
        "{places}/data/../secret/0.png",
        "link.png",
        "folder/0.png",
        "/etc/hostname",
        "/dev/zero",
        "/proc/self/environ",
        "~/0.png",
        "s3://bucket/0.png",
        "gs://bucket/0.png",
        "https://127.0.0.1/0.png",
        "http://169.254.169.254/latest/meta-data/",
        "memory://0.png",
        "simplecache::file:///etc/hostname",
    ],
)
def test_what_lies_elsewhere_is_quarantined_and_not_read(places: Path, cell: str) -> None:
    (places / "data" / "link.png").symlink_to(places / "secret" / "0.png")
    (places / "data" / "folder").symlink_to(places / "secret")
    dataset = ingested(places, {0: cell.format(places=places)})
    quarantine = pd.read_parquet(dataset.quarantine)
    assert quarantine["id"].tolist() == ["r0"]
    assert any(
        word in quarantine["reason"][0]
        for word in ("outside of the manifest's folder", "no such file", "not allowed", "private address")
    )
    assert dataset.rows == 13


def test_links_and_dots_that_stay_inside_are_fine(places: Path) -> None:
    (places / "data" / "link.png").symlink_to(places / "data" / "1.png")
    cells = {0: "link.png", 1: "./1.png", 2: "x/../2.png", 3: str(places / "data" / "3.png")}
    (places / "data" / "x").mkdir()
    assert ingested(places, cells).quarantined == 0


def test_declared_roots_are_allowed(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = {0: "../photos/0.png", 1: str(places / "photos" / "1.png"), 2: "../secret/2.png"}
    assert ingested(places, cells).quarantined == 3
    assert ingested(places, cells, roots=["photos"]).quarantined == 1
    assert ingested(places, cells, roots=[str(places / "photos"), "secret"]).quarantined == 0
    monkeypatch.setenv("BRAID_DATA_ROOTS", f"{places / 'secret'}, {places / 'photos'}")
    assert ingested(places, cells).quarantined == 0


def test_a_root_is_no_prefix_of_a_name(places: Path) -> None:
    (places / "data-2").mkdir()
    Image.new("RGB", (8, 8)).save(places / "data-2" / "0.png")
    assert ingested(places, {0: "../data-2/0.png"}).quarantined == 1


def test_scoring_keeps_to_the_same_folders(places: Path) -> None:
    (places / "data" / "link.png").symlink_to(places / "secret" / "0.png")
    path = table(places, {0: "../secret/0.png", 1: "link.png", 2: f"{places}/secret/2.png"})
    inputs = PipelineConfig.model_validate(
        {"name": "t", "data": {"source": "x"}, "inputs": {"image": {"modality": "image", "columns": "image"}}}
    ).inputs
    rows = open_rows(ScoreConfig(model="m", manifest=str(path)), inputs, {})
    (chunk,) = read_chunks(rows, 128, lambda first: True)
    assert [fault.row for fault in chunk.faults] == [0, 1, 2]
    assert chunk.table["image"][:3].tolist() == [None, None, None]


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("s3://bucket/set/a.png", True),
        ("s3://bucket/set/deep/a.png", True),
        ("s3://bucket/other/a.png", False),
        ("s3://bucket/set/../other/a.png", False),
        ("s3://bucket/set/%2e%2e/other/a.png", False),
        ("s3://bucket/set-2/a.png", False),
        ("s3://other/set/a.png", False),
        ("/etc/passwd", False),
    ],
)
def test_a_manifest_in_a_bucket_names_what_lies_below_it(path: str, inside: bool) -> None:
    if inside:
        assert require_inside(path, ("s3://bucket/set",)) == path
    else:
        with pytest.raises(OutsideError):
            require_inside(path, ("s3://bucket/set",))
