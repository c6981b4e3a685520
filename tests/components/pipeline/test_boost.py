"""Trees over all inputs beside the fusion: a further candidate, out of fold, served as it was chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from components.config import PipelineConfig
from components.inference.bundle import load_bundle
from components.inference.ensemble import FUSION, TREES
from components.inference.predictor import Predictor
from components.models.fusion.trees import EmbeddedRows, TreeFusion
from components.pipeline import folds
from components.pipeline.fit_once import choice_of
from components.pipeline.folds import has_trees_beside
from components.pipeline.fuse import shares_of
from components.pipeline.run import BuiltModel, build_model
from components.references import Trained
from tests.components.conftest import configure

TABLE = {"modality": "tabular", "columns": ["age", "city"], "encoder": {"name": "trees", "rounds": 20}}


def with_table(**changes: object) -> PipelineConfig:
    """The tiny pipeline, whose table has an encoder that passes its numbers on."""
    inputs = {name: each.model_dump(mode="json") for name, each in configure().inputs.items()}
    return configure(inputs={**inputs, "facts": TABLE}, fusion={"name": "late"}, **changes)


def rounds_of(trained: Trained) -> list[tuple[int, list[int]]]:
    """Leaves and rounds of the trees of each target."""
    return [(each["leaves"], each["rounds"]) for each in choice_of(trained)["targets"]]


@pytest.fixture(scope="module")
def built(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(folds, "_FEWEST_FOR_TREES", 10)
        return build_model(with_table(), tmp_path_factory.mktemp("boost"), tiny_data)


def trees_of(bundle: Path) -> TreeFusion:
    delivered = load_bundle(bundle).delivered
    assert delivered.trees is not None
    assert isinstance(delivered.trees.fusion, TreeFusion)
    return delivered.trees.fusion


def test_trees_are_a_candidate_that_the_bundle_gives_back(built: BuiltModel, tiny_data: Path) -> None:
    predictor = Predictor(built.bundle, device="cpu")
    model = predictor.bundle.delivered
    assert TREES in model.candidates(model.inputs)
    assert len(built.trees) == 3, "trees of all rows, and those without each of two folds"
    table = pd.read_csv(tiny_data / "rows.csv").query("split == 'test'")
    table["photo"] = [None if pd.isna(name) else str(tiny_data / name) for name in table["photo"]]
    target = model.targets.primary
    embeddings = predictor.embed(predictor.read(table))
    predictions = model.predict(target, embeddings, model.inputs, TREES).numpy()
    truth = target.encode(table["label"].tolist())
    assert (predictions.argmax(1) == truth).mean() > 0.6, "1/3 is at random"


def test_a_row_is_chosen_by_trees_that_have_not_learned_from_it(built: BuiltModel) -> None:
    by_subset = built.selection.predicted.fused[TREES]
    assert set(by_subset) == set(load_bundle(built.bundle).delivered.subsets())
    assert all(torch.isfinite(natural).all() for natural in by_subset.values())
    assert len({each.weights for each in built.trees}) == 3
    choices = [rounds_of(each.training) for each in built.trees]
    assert choices[1:] == choices[:1] * 2, "rounds are those of the trees of all rows"


def test_numbers_of_a_table_reach_the_trees_as_they_are(built: BuiltModel) -> None:
    columns = built.features["facts"].encoder.quantities
    assert columns == (3,), "age, behind the outputs of three classes"
    assert trees_of(built.bundle).reductions["facts"].columns.tolist() == list(columns)


def test_every_input_has_a_share_of_the_gain(built: BuiltModel) -> None:
    shares = shares_of(built.trees[0])
    assert set(shares) == {"facts", "note", "photo"}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["note"] > shares["photo"], "the text tells the classes apart, the picture hardly"


def test_a_repeated_run_fits_nothing_again(
    built: BuiltModel, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "_FEWEST_FOR_TREES", 10)

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("the trees are in the folder already")

    monkeypatch.setattr(TreeFusion, "learn", fail)
    again = build_model(built.config, built.folder, tiny_data)
    assert [each.weights for each in again.trees] == [each.weights for each in built.trees]


@pytest.mark.parametrize(
    ("changes", "rows", "count", "wanted"),
    [
        ({}, 200, 5, True),
        ({}, 199, 5, False),
        ({}, 200, 0, False),
        ({"fusion": {"name": "trees"}}, 200, 5, False),
        ({"quality": "fast"}, 200, 5, False),
    ],
    ids=["enough", "few rows", "no folds", "the fusion itself", "fast"],
)
def test_trees_need_folds_and_rows(
    tiny: BuiltModel, changes: dict[str, object], rows: int, count: int, wanted: bool
) -> None:
    dataset = replace(tiny.dataset, splits={**tiny.dataset.splits, "train": rows})
    assert has_trees_beside(configure(**changes), dataset, count) is wanted


@pytest.mark.parametrize("folds_of_run", [0, 2])
def test_trees_as_the_fusion_are_stopped_by_rows_that_do_not_choose(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folds_of_run: int
) -> None:
    stopped: list[EmbeddedRows] = []
    learn = TreeFusion.learn

    def spy(self: TreeFusion, train: Any, val: EmbeddedRows, *rest: Any, **options: Any) -> Any:
        stopped.append(val)
        return learn(self, train, val, *rest, **options)

    monkeypatch.setattr(TreeFusion, "learn", spy)
    config = with_table(training={"folds": folds_of_run, "refit": "none"}).model_copy(
        update={"fusion": configure(fusion={"name": "trees", "rounds": 5}).fusion}
    )
    built = build_model(config, tmp_path, tiny_data)
    chosen = built.selection.predicted.present
    assert built.fused is not None
    sizes = {len(each.present) for each in stopped}
    if folds_of_run:
        assert len(chosen) == 48, "training rows choose"
        assert sizes == {24}, "validation rows stop"
    else:
        assert len(chosen) == 24, "validation rows choose"
        assert sizes == {2}, "a fifth of the training rows that no encoder has learned from"
    assert FUSION in built.selection.predicted.fused


def test_joint_training_refuses_trees() -> None:
    with pytest.raises(ValueError, match=r"trees have no gradient, and strategy: joint"):
        configure(fusion={"name": "trees"}, strategy="joint")
