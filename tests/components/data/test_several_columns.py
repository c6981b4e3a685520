"""An input with several media columns: any may be empty, one bad file makes the row bad."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from components.references import Dataset

VIEWS = {
    "views": {"modality": "image", "columns": ["front", "back"]},
    "note": {"modality": "text", "columns": "text"},
}
Run = Callable[..., Dataset]


@pytest.fixture
def rows(tmp_path: Path, picture: Callable[..., Path], text_rows: Callable[..., list[dict[str, Any]]]) -> Any:
    made = text_rows(20)
    for number, row in enumerate(made):
        row["front"], row["back"] = f"{number}a.png", f"{number}b.png"
        picture(tmp_path / row["front"], number)
        picture(tmp_path / row["back"], 100 + number)
    return made


def samples_of(dataset: Dataset) -> pd.DataFrame:
    return pd.read_parquet(dataset.samples).set_index("id")


def test_paths_keep_their_columns_and_an_empty_cell_is_no_error(
    rows: Any, tmp_path: Path, manifest: Callable[..., Path], run: Run
) -> None:
    rows[5]["front"] = ""
    rows[6]["front"] = rows[6]["back"] = ""
    dataset = run(manifest(tmp_path / "m.csv", rows), VIEWS)
    samples = samples_of(dataset)
    assert json.loads(samples.loc["r5", "views.path"]) == [None, str(tmp_path / "5b.png")]
    assert samples.loc["r6", ["views.path", "views.digest"]].isna().all()
    assert dataset.missing["views"] == 1
    assert dataset.quarantined == 0


def test_the_digest_is_that_of_the_files_in_any_order(
    rows: Any, tmp_path: Path, manifest: Callable[..., Path], run: Run
) -> None:
    before = samples_of(run(manifest(tmp_path / "m.csv", rows), VIEWS))["views.digest"]
    rows[4]["front"], rows[4]["back"] = rows[4]["back"], rows[4]["front"]
    rows[7]["back"] = ""
    after = samples_of(run(manifest(tmp_path / "m.csv", rows), VIEWS))["views.digest"]
    assert after["r4"] == before["r4"]
    assert after["r7"] != before["r7"]
    assert before.nunique() == 20


def test_one_bad_file_makes_the_row_bad(
    rows: Any, tmp_path: Path, manifest: Callable[..., Path], run: Run
) -> None:
    (tmp_path / "8b.png").write_bytes(b"no picture")
    dataset = run(manifest(tmp_path / "m.csv", rows), VIEWS, max_bad=0.2)
    quarantine = pd.read_parquet(dataset.quarantine)
    assert quarantine[["id", "input"]].to_numpy().tolist() == [["r8", "views"]]
    assert quarantine["path"].item().endswith("8b.png")
    assert "r8" not in samples_of(dataset).index


@pytest.mark.slow
def test_the_embedded_views_are_read(run: Run) -> None:
    inputs = {"photos": {"modality": "image", "columns": ["view_1", "view_2", "view_3", "view_4"]}}
    dataset = run(
        "demo-views", inputs, split={"column": "split"}, target={"column": "price", "task": "regression"}
    )
    assert dataset.splits == {"train": 900, "val": 300, "test": 300}
    assert dataset.quarantined <= 2, "a row without any view has no input at all"
    assert dataset.targets.primary.task == "regression"
    paths = samples_of(dataset)["photos.path"].map(json.loads)
    assert 0.1 < paths.map(lambda row: row.count(None)).sum() / (4 * len(paths)) < 0.2
