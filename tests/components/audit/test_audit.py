"""The embedded demo data, as it is and tampered with."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from components.audit.results import Audit
from components.audit.run import audit
from components.config import PipelineConfig
from components.config.pipeline import PipelineConfig as Pipeline
from components.data.ingest import ingest
from components.data.sources.embedded import materialise
from components.errors import DataError
from components.evaluation.intervals import Interval
from components.evaluation.results import Evaluation
from components.pipeline.preprocess import prepare
from components.references import EncoderWeights, Features

Rows = list[dict[str, str]]
INPUTS: dict[str, Any] = {
    "image": {"modality": "image", "columns": "image", "size": 32, "encoder": "cnn"},
    "audio": {"modality": "audio", "columns": "audio", "rate": 8000, "seconds": 0.4, "encoder": "audio_cnn"},
    "clue": {"modality": "text", "columns": "clue", "encoder": "ngrams"},
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return materialise("demo", tmp_path_factory.mktemp("audit") / "demo", seed=0).parent


@pytest.fixture(scope="module")
def audited(demo: Path) -> Callable[..., Audit]:
    """Audit 900 rows of the demo, changed by a function."""

    def call(
        change: Callable[[Rows], None] = lambda rows: None,
        evaluation: Evaluation | None = None,
        **options: Any,
    ) -> Audit:
        with (demo / "manifest.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        half = [row for row in rows if int(row["id"].split("-")[1]) % 2 == 0]
        change(half)
        source = demo / "changed.csv"
        with source.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(key for row in half for key in row)))
            writer.writeheader()
            writer.writerows(half)
        inputs = {**INPUTS, **options.pop("inputs", {})}
        data = {"source": str(source), "split": {"column": "split"}}
        config: PipelineConfig = Pipeline.model_validate(
            {"name": "d", "data": data, "inputs": inputs, "audit": options}
        )
        dataset = ingest(config, demo.parent / "data", demo)
        prepared = {
            name: prepare(dataset, name, section, demo.parent / "canonical", 1024)
            for name, section in config.inputs.items()
        }
        features = {
            name: Features(EncoderWeights(name, None, "", "", 1, section.encoder), "", 0, 0)
            for name, section in config.inputs.items()
        }
        return audit(dataset, prepared, features, evaluation, config)

    return call


def by_input(audit: Audit) -> dict[str, Any]:
    return {each.input: each for each in audit.agreements}


def test_good_data_raises_no_alarm(audited: Callable[..., Audit]) -> None:
    audit = audited()
    assert audit.warnings == ()
    assert audit.kinds == ()
    assert all(each.low > 0.3 for each in audit.agreements)
    assert by_input(audit)["audio"].right > 0.7
    assert Audit.from_json(audit.to_json()) == audit


def test_good_data_sorted_by_label_raises_no_alarm(audited: Callable[..., Audit]) -> None:
    assert audited(lambda rows: rows.sort(key=lambda row: row["label"])).warnings == ()


def move(rows: Rows, column: str, first: int, last: int) -> None:
    """Shift a column against the others, within some rows."""
    filled = [row for row in rows[first:last] if row[column]]
    cells = [row[column] for row in filled]
    for row, cell in zip(filled, cells[5:] + cells[:5], strict=True):
        row[column] = cell


def test_a_block_of_shifted_sounds_is_told_by_its_ids(audited: Callable[..., Audit]) -> None:
    audit = audited(lambda rows: move(rows, "audio", 200, 270))
    assert audit.kinds == ("shuffled",)
    assert by_input(audit)["image"].shuffled == by_input(audit)["clue"].shuffled == ()
    (block,) = by_input(audit)["audio"].shuffled
    assert abs(int(block.first.split("-")[1]) / 2 - 200) <= 10
    assert abs(int(block.last.split("-")[1]) / 2 - 269) <= 10
    (warning,) = audit.warnings
    assert f"{block.rows} rows from id {block.first} to {block.last}" in warning


def shuffle(rows: Rows) -> None:
    """Pair all audio with other rows."""
    filled = [row for row in rows if row["audio"]]
    order = np.random.default_rng(1).permutation(len(filled))
    cells = [row["audio"] for row in filled]
    for row, position in zip(filled, order, strict=True):
        row["audio"] = cells[position]


def test_sounds_paired_with_other_rows_are_at_chance(audited: Callable[..., Audit]) -> None:
    audit = audited(shuffle)
    assert audit.kinds == ("chance",)
    assert [each.input for each in audit.agreements if each.chance] == ["audio"]
    assert "Input audio says nothing of label" in audit.warnings[0]


@pytest.mark.parametrize(("share", "kinds"), [(0.0, ("chance",)), (0.25, ())])
def test_an_input_that_helps_beside_others_is_not_at_chance(
    audited: Callable[..., Audit], share: float, kinds: tuple[str, ...]
) -> None:
    """One bit of an exclusive or says nothing alone, and half of it with the other."""
    nothing_alone = SimpleNamespace(on_test=lambda metric: Interval(0.1, 0.08, 0.12), kind="single")
    evaluation = SimpleNamespace(
        candidates=[SimpleNamespace(**vars(nothing_alone), inputs=("audio",))],
        metric="accuracy",
        prior_value=0.1,
        shapley={"audio": share},
    )
    assert audited(shuffle, evaluation=evaluation).kinds == kinds


def test_copies_of_training_files_in_test_are_found(audited: Callable[..., Audit], demo: Path) -> None:
    def plant(rows: Rows) -> None:
        train = [row for row in rows if row["split"] == "train" and row["image"] and row["audio"]]
        test = [row for row in rows if row["split"] == "test" and row["image"] and row["audio"]]
        for number in range(4):
            test[number]["image"] = train[number]["image"]
        for number in range(4, 8):  # saved again: other bytes, other compression, a little darker
            image = Image.open(demo / train[number]["image"]).convert("RGB")
            name = f"images/again-{number}.jpg"
            image.point(lambda value: value * 0.98).save(demo / name, quality=92)
            test[number]["image"] = name
            wave, rate = sf.read(demo / train[number]["audio"])
            sf.write(demo / f"audio/again-{number}.flac", wave * 0.9, rate)
            test[number]["audio"] = f"audio/again-{number}.flac"

    audit = audited(plant)
    twins = {(each.input, each.split): each for each in audit.duplicates}
    assert (twins["image", "test"].exact, twins["image", "test"].near) == (4, 4)
    assert (twins["audio", "test"].exact, twins["audio", "test"].near) == (0, 4)
    assert [key for key, each in twins.items() if each.flagged] == [("image", "test"), ("audio", "test")]
    assert audit.kinds == ("duplicates",)


def test_texts_copied_from_train_are_more_than_chance(audited: Callable[..., Audit]) -> None:
    def plant(rows: Rows) -> None:
        train = [row for row in rows if row["split"] == "train" and row["clue"]]
        test = [row for row in rows if row["split"] == "test" and row["clue"]]
        for number in range(40):
            test[number]["clue"] = train[number]["clue"]

    audit = audited(plant)
    assert [(each.input, each.split) for each in audit.duplicates if each.flagged] == [("clue", "test")]


def test_a_column_made_from_the_label_is_a_leak(audited: Callable[..., Audit]) -> None:
    def plant(rows: Rows) -> None:
        rng = np.random.default_rng(0)
        for row in rows:
            row["code"] = f"{int(row['label']) * 10 + rng.random():.3f}"
            row["weight"] = f"{rng.normal():.3f}"

    table = {"facts": {"modality": "tabular", "columns": ["code", "weight"], "encoder": "mlp"}}
    audit = audited(plant, inputs=table)
    assert [(each.column, each.flagged) for each in audit.leaks if each.input == "facts"] == [
        ("column code", True),
        ("column weight", False),
    ]
    assert audit.kinds == ("leak",)


def test_speakers_in_two_splits_are_told(audited: Callable[..., Audit]) -> None:
    def plant(rows: Rows) -> None:
        for number, row in enumerate(rows):
            row["speaker"] = f"s{number % 6}"
            row["shelf"] = f"s{number % 6}"

    audit = audited(plant)
    assert [(each.column, each.groups, each.across) for each in audit.groups] == [("speaker", 6, 6)]
    assert audit.kinds == ("groups",)
    assert "data.split.group: speaker" in audit.warnings[0]
    assert audited(plant, groups=[]).groups == ()
    with pytest.raises(DataError, match=r"audit\.groups\.0: 'shelves' is not a column"):
        audited(plant, groups=["shelves"])


def test_fewer_rows_are_spread_over_the_table(audited: Callable[..., Audit]) -> None:
    audit = audited(rows=300)
    assert 225 <= audit.rows <= 300
    assert audit.warnings == ()
