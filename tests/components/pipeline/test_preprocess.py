"""Preprocessing an input: only what is not there yet, and nothing learned from test rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.config import PipelineConfig
from components.data.ingest import ingest
from components.data.samples import open_samples_table
from components.errors import DataError
from components.pipeline.preprocess import prepare
from components.preprocess.protocol import Samples
from components.preprocess.tabular import TabularPreprocessor
from components.references import Dataset, Prepared
from components.storage.shards import ShardStore

Config = Callable[..., PipelineConfig]


class Steps:
    """Ingest and prepare over one workspace, as one run after another would."""

    def __init__(self, config: PipelineConfig, data: Path, folder: Path) -> None:
        self.config, self.data, self.folder = config, data, folder

    def ingest(self) -> Dataset:
        return ingest(self.config, self.folder / "data", self.data)

    def prepare(self, name: str, shard_rows: int = 40) -> Prepared:
        return prepare(self.ingest(), name, self.config.inputs[name], self.folder / "cache", shard_rows)


@pytest.fixture
def steps(config: Config, own_data: Path, tmp_path: Path) -> Steps:
    return Steps(config(), own_data, tmp_path)


def repaint(path: Path) -> None:
    Image.fromarray(np.full((16, 16, 3), 77, np.uint8)).save(path)


@pytest.mark.parametrize("name", ["photo", "note", "facts"])
def test_the_second_time_nothing_is_made(steps: Steps, name: str) -> None:
    first, second = steps.prepare(name), steps.prepare(name)
    assert (first.rows, first.made) == (84, 84)  # of 96 rows, 12 lack it
    assert (second.rows, second.made) == (84, 0)
    assert (second.store, second.fingerprint) == (first.store, first.fingerprint)


def test_a_changed_picture_of_a_test_row_makes_one(steps: Steps) -> None:
    first = steps.prepare("photo")
    repaint(steps.data / "photos" / "test03.png")
    again = steps.prepare("photo")
    assert again.made == 1
    assert again.store == first.store


def test_equal_samples_are_made_once(steps: Steps) -> None:
    for row in (0, 1, 2):
        repaint(steps.data / "photos" / f"train{row:02d}.png")
    prepared = steps.prepare("photo")
    assert (prepared.rows, prepared.made) == (84, 82)


def test_what_was_learned_of_the_same_rows_is_not_learned_again(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[str] = []
    original = TabularPreprocessor.fit

    def fit(self: TabularPreprocessor, samples: Samples) -> None:
        learned.append("facts")
        original(self, samples)

    monkeypatch.setattr(TabularPreprocessor, "fit", fit)
    first, second = steps.prepare("facts"), steps.prepare("facts")
    assert len(learned) == 1
    assert second.fingerprint == first.fingerprint


def test_other_settings_are_another_store(steps: Steps) -> None:
    first = steps.prepare("photo")
    section = steps.config.inputs["photo"].model_copy(update={"size": 8})
    again = prepare(steps.ingest(), "photo", section, steps.folder / "cache", 40)
    assert again.made == 84
    assert again.store != first.store


@pytest.mark.parametrize(("split", "same"), [("test", True), ("val", True), ("train", False)])
def test_only_training_rows_teach_scales_and_categories(steps: Steps, split: str, same: bool) -> None:
    first = steps.prepare("facts")
    manifest = steps.data / "rows.csv"
    lines = manifest.read_text("utf-8").splitlines()
    index = next(number for number, line in enumerate(lines) if line.startswith(f"{split}-0,"))
    *cells, _, _ = lines[index].split(",")
    lines[index] = ",".join([*cells, "9999.5", "Atlantis"])
    manifest.write_text("\n".join(lines), "utf-8")
    again = steps.prepare("facts")
    assert (again.fingerprint == first.fingerprint) is same
    assert again.made == (1 if same else 84)


def test_progress_is_told_by_shards(steps: Steps) -> None:
    reports: list[tuple[int, int]] = []
    dataset = steps.ingest()
    prepare(
        dataset,
        "photo",
        steps.config.inputs["photo"],
        steps.folder / "cache",
        40,
        lambda done, total: reports.append((done, total)),
    )
    assert reports == [(0, 84), (40, 84), (80, 84), (84, 84)]


def test_canonical_samples_are_the_pictures(steps: Steps) -> None:
    prepared = steps.prepare("photo")
    samples = open_samples_table(steps.ingest()).rows(["photo"], values=True).dropna(subset=["photo.digest"])
    row = samples.iloc[-1]
    (stored,) = ShardStore(Path(prepared.store), "arrow").stack([row["photo.digest"]])
    picture = np.asarray(Image.open(row["photo.path"]))
    if stored.shape != picture.shape:
        stored = stored.transpose(1, 2, 0)  # channels first
    np.testing.assert_array_equal(stored, picture)


def test_a_file_that_went_away_after_ingest_is_told_with_its_row(steps: Steps) -> None:
    dataset = steps.ingest()
    (steps.data / "photos" / "val00.png").unlink()
    with pytest.raises(
        DataError, match=r"sample 'val-0', input 'photo': could be read by ingest but not now.*val00.png"
    ):
        prepare(dataset, "photo", steps.config.inputs["photo"], steps.folder / "cache", 40)


def test_a_file_that_changed_after_ingest_is_not_kept_under_its_old_key(steps: Steps) -> None:
    dataset = steps.ingest()
    repaint(steps.data / "photos" / "val00.png")
    with pytest.raises(DataError, match=r"sample 'val-0', input 'photo'.*val00.png: has other content now"):
        prepare(dataset, "photo", steps.config.inputs["photo"], steps.folder / "cache", 40)
