"""First pipeline files of messy tables: they pass check, say what was guessed, and run to the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import yaml
from PIL import Image
from typer.testing import CliRunner

from components.config import PipelineConfig, load_pipeline
from components.data.draft import Draft, draft
from components.data.ingest import ingest
from components.data.tasks import settle_tasks
from components.errors import DataError
from components.pipeline.run import build_model
from flows.cli.app import app

ROWS = 80


def base(rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    words = np.array(["red", "small", "wide", "old", "soft", "loud", "plain", "deep"])
    label = np.arange(rows) % 2
    return pd.DataFrame(
        {
            "label": np.where(label, "yes", "no"),
            "note": [" ".join(rng.choice(words, 4)) + f" {row}" for row in range(rows)],
            "weight": [f"{value:.2f}".replace(".", ",") for value in rng.normal(label * 2, 1)],
            "city": rng.choice(["Bonn", "Köln"], rows),
        }
    )


def media(folder: Path) -> pd.DataFrame:
    table = base()
    rng = np.random.default_rng(1)
    for row in range(ROWS):
        Image.fromarray(rng.integers(0, 255, (24, 40, 3), np.uint8)).save(folder / f"{row}.png")
        sf.write(folder / f"{row}.wav", rng.normal(0, 0.1, 2400), 8000)
    table["Foto (links)"] = [f"{row}.png" for row in range(ROWS)]
    table["clip"] = [f"{row}.wav" if row % 5 else "" for row in range(ROWS)]
    return table


def numbers(folder: Path) -> pd.DataFrame:
    return base().assign(label=np.random.default_rng(2).normal(0, 1, ROWS).round(3))


def hostile(folder: Path) -> pd.DataFrame:
    """Names that YAML, Python or torch read as something else; columns that hold nothing."""
    table = base().rename(columns={"note": "on: # {x}", "weight": "null", "city": "type\u2028x"})
    return table.assign(
        empty="", same=1, **{"'q\"": base()["note"], "1": np.arange(ROWS) * 1.5, "train": "-"}
    )


def uneven(folder: Path) -> pd.DataFrame:
    table = base()
    return table.assign(label=["rare" if row % 10 == 0 else "usual" for row in range(ROWS)])


def many_labels(folder: Path) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return base().assign(label=["|".join(rng.permutation(list("abc"))[: 1 + row % 3]) for row in range(ROWS)])


def own_split(folder: Path) -> pd.DataFrame:
    return base().assign(id=range(ROWS), split=["train", "train", "val", "test"] * (ROWS // 4))


def absent(folder: Path) -> pd.DataFrame:
    table = media(folder)
    for row in (0, 3, 50, 60, 70):
        (folder / f"{row}.png").unlink()
    return table


TABLES = [absent, base, media, numbers, hostile, uneven, many_labels, own_split]


def written(folder: Path, make: Callable[..., pd.DataFrame], **given: str) -> tuple[Draft, Path]:
    table = make() if make is base else make(folder)
    table.to_csv(folder / "shoes.csv", index=False)
    made = draft(str(folder / "shoes.csv"), "label", beside=folder, **given)
    (folder / "shoes.yaml").write_text(made.text, "utf-8")
    return made, folder / "shoes.yaml"


def config_of(file: Path) -> PipelineConfig:
    return load_pipeline(file)


@pytest.mark.parametrize("make", TABLES, ids=lambda make: make.__name__)
def test_the_file_passes_check_and_needs_no_further_guess_of_the_task(
    tmp_path: Path, make: Callable[..., pd.DataFrame]
) -> None:
    made, file = written(tmp_path, make)
    config = config_of(file)
    assert settle_tasks(config, tmp_path / "data", tmp_path) == config
    dataset = ingest(config, tmp_path / "data", tmp_path)
    assert (dataset.rows, dataset.quarantined) == (ROWS, 0)
    assert made.rows == ROWS
    assert {use.column for use in made.uses} == set(pd.read_csv(tmp_path / "shoes.csv").columns)


def test_inputs_come_from_the_contents(tmp_path: Path) -> None:
    made, file = written(tmp_path, media)
    inputs = config_of(file).inputs
    assert {name: each.modality for name, each in inputs.items()} == {
        "note": "text", "Foto_links": "image", "clip": "audio", "table": "tabular",
    }  # fmt: skip
    assert inputs["Foto_links"].size == 32  # type: ignore[union-attr]  # the shorter sides have 24
    assert inputs["clip"].rate == 8000  # type: ignore[union-attr]
    assert inputs["clip"].seconds == pytest.approx(0.3)  # type: ignore[union-attr]
    assert inputs["table"].columns == ["weight", "city"]
    reading = {use.column: use.reading for use in made.uses}
    assert reading["weight"] == "number, decimal comma"  # as check says


@pytest.mark.parametrize(
    ("make", "task", "metric"),
    [
        (base, "classification", "accuracy"),
        (uneven, "classification", "balanced_accuracy"),
        (numbers, "regression", "r2"),
        (many_labels, "multilabel", "f1_macro"),
    ],
)
def test_task_and_metric_come_from_the_target(
    tmp_path: Path, make: Callable[..., pd.DataFrame], task: str, metric: str
) -> None:
    _, file = written(tmp_path, make)
    target = config_of(file).target
    assert (target.task, target.metric) == (task, metric)


def test_groups_times_ids_and_splits_find_their_options(tmp_path: Path) -> None:
    def dated(folder: Path) -> pd.DataFrame:
        days = pd.date_range("2026-01-01", periods=ROWS).strftime("%Y-%m-%d")
        return base().assign(day=days, person=np.arange(ROWS) // 4, shoe_id=range(ROWS))

    _, file = written(tmp_path, dated, time="day", group="person")
    data = config_of(file).data
    assert (data.time, data.split.by, data.split.group, data.id) == ("day", "time", "person", "shoe_id")
    assert ingest(config_of(file), tmp_path / "data", tmp_path).splits["test"] > 0
    _, file = written(tmp_path, own_split)
    data = config_of(file).data
    assert (data.id, data.split.column) == ("id", "split")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: base().assign(label=""), "empty in every row"),
        (lambda folder: base().assign(label=[f"name {row}" for row in range(ROWS)]), "no class to learn"),
        (lambda folder: base().assign(label="one"), "one value"),
        (lambda folder: base()[["label"]].assign(empty=""), "no column to learn from"),
        (lambda folder: base().rename(columns={"label": "lable"}), "Did you mean 'lable'"),
    ],
)
def test_a_table_that_teaches_nothing_says_so(
    tmp_path: Path, make: Callable[..., pd.DataFrame], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        written(tmp_path, make)


def test_a_first_file_runs_to_the_end(tmp_path: Path) -> None:
    _, file = written(tmp_path, hostile)
    quick = [
        "training.epochs=1",
        "training.folds=0",
        *(f"inputs.{name}.fit.epochs=1" for name in config_of(file).inputs),
    ]
    built = build_model(load_pipeline(file, quick), tmp_path / "work", tmp_path)
    assert (built.bundle / "model.json").exists()


def test_the_command_overwrites_nothing_and_says_what_comes_next(tmp_path: Path) -> None:
    base().to_csv(tmp_path / "shoes.csv", index=False)
    out = tmp_path / "first.yaml"
    command = ["init", str(tmp_path / "shoes.csv"), "--target", "label", "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert f"braid check {out}" in done.stdout
    assert yaml.safe_load(out.read_text("utf-8"))["data"]["source"] == "shoes.csv"
    before = out.read_text("utf-8")
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert "--out" in again.stderr
    assert out.read_text("utf-8") == before
