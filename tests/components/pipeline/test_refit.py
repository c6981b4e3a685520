"""Validation rows given back: learned from once everything is chosen, and never judged or calibrated on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge

from components.config import PipelineConfig
from components.data.samples import learning_rows, open_samples_table
from components.inference.bundle import REFERENCE, Bundle, load_bundle
from components.inference.ensemble import FUSION, TREES
from components.inference.learned_rows import name_key, read_learned
from components.inference.predictor import Predictor
from components.inference.reference_rows import read_sample
from components.models.encoders.table import Design
from components.pipeline.budget import Budget
from components.pipeline.fit_once import choice_of
from components.pipeline.package import open_split
from components.pipeline.plain import PlainSteps
from components.pipeline.run import BuiltModel, build_model, train
from components.references import LeftOut
from components.runtime.deadline import Allowance
from components.training.batches import open_samples

TREES_ENCODER = {"name": "trees", "rounds": 20}


def table(columns: list[str], *encoders: Any) -> dict[str, Any]:
    return {"modality": "tabular", "columns": columns, "encoder": list(encoders) or {"name": "linear"}}


def configure(refit: str, **changes: Any) -> PipelineConfig:
    """Two tables and their late fusion; changes replace whole sections."""
    values: dict[str, Any] = {
        "name": "numbers",
        "data": {"source": "rows.csv", "id": "id", "split": {"column": "split"}},
        "target": {"column": "price", "task": "regression"},
        "inputs": {"size": table(["a", "b", "c"]), "place": table(["d", "e"])},
        "fusion": {"name": "late"},
        "training": {"folds": 2, "epochs": 3, "refit": refit},
        "evaluation": {"bootstrap": 100},
        "engine": {"device": "cpu"},
        "quality": "fast",
    }
    return PipelineConfig.model_validate({**values, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of 300 rows, 60 of them for validation."""
    folder = tmp_path_factory.mktemp("refit")
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(300, 5)).round(4), columns=list("abcde"))
    rows["price"] = (rows @ [3, -2, 1, 2, 1] + rng.normal(size=300)).round(4)
    rows["split"] = ["train"] * 180 + ["val"] * 60 + ["test"] * 60
    rows["id"] = [f"r{number}" for number in range(300)]
    rows.to_csv(folder / "rows.csv", index=False)
    return folder


def built(data: Path, name: str, config: PipelineConfig) -> BuiltModel:
    """Build in the folder of the data, so that all share their caches."""
    return build_model(config, data / "built", data, bundle=name)


@pytest.fixture(scope="module")
def pair(data: Path) -> tuple[BuiltModel, BuiltModel]:
    """The model with and without the validation rows."""
    return built(data, "all", configure("all")), built(data, "none", configure("none"))


@pytest.fixture(scope="module")
def beside_trees(data: Path) -> tuple[BuiltModel, BuiltModel]:
    """The same beside trees over all inputs, one input with two encoders."""
    inputs = {"size": table(["a", "b", "c"], {"name": "linear"}, TREES_ENCODER), "place": table(["d", "e"])}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("components.pipeline.folds._FEWEST_FOR_TREES", 10)
        options = {"inputs": inputs, "quality": "good"}
        return built(data, "trees-all", configure("all", **options)), built(
            data, "trees-none", configure("none", **options)
        )


def natural(bundle: Bundle, built: BuiltModel, name: str, split: str) -> torch.Tensor:
    """Natural parameters of an input alone for the rows of a split, from what is in the bundle."""
    samples = open_samples_table(built.dataset).split(split, [name])
    inputs = {name: built.config.inputs[name]}
    source = open_samples(
        samples, {name: built.prepared[name]}, inputs, built.dataset.targets, torch.device("cpu")
    )
    batch = dict(source.batch(torch.arange(len(samples))).inputs[name].batch)
    with torch.no_grad():
        return bundle.delivered.heads[name](bundle.single_encoders[name](batch))


def test_a_linear_model_is_that_of_training_and_validation_rows(
    pair: tuple[BuiltModel, BuiltModel],
) -> None:
    after, before = pair
    for each, splits in ((after, ["train", "val"]), (before, ["train"])):
        training = each.singles["size"].training
        assert training is not None
        choice = choice_of(training)
        samples = learning_rows(each.dataset, ["size"])
        samples = samples[samples["split"].isin(splits)]
        cells = pd.read_csv(Path(each.folder).parent / "rows.csv").set_index("id")
        values = _values(each, "size", samples)
        design = Design(3, [])
        design.fit(values)
        target = each.dataset.targets.primary
        truth = target.encode([str(cell) for cell in cells.loc[samples["id"], "price"]])
        model = Ridge(alpha=choice["strengths"][0]).fit(
            design.matrix(values), target.standardised(np.asarray(truth))
        )
        test = open_samples_table(each.dataset).split("test", ["size"])
        expected = model.predict(design.matrix(_values(each, "size", test)))
        made = natural(load_bundle(each.bundle), each, "size", "test")[:, 0].numpy()
        np.testing.assert_allclose(made / choice["scales"][0], expected, rtol=1e-3, atol=1e-3)


def _values(built: BuiltModel, name: str, samples: pd.DataFrame) -> np.ndarray:
    inputs = {name: built.config.inputs[name]}
    source = open_samples(
        samples, {name: built.prepared[name]}, inputs, built.dataset.targets, torch.device("cpu")
    )
    values = source.batch(torch.arange(len(samples))).inputs[name].batch["values"]
    assert isinstance(values, torch.Tensor)
    return values.numpy()


def test_choice_and_calibration_are_those_of_the_first_fits(
    pair: tuple[BuiltModel, BuiltModel], beside_trees: tuple[BuiltModel, BuiltModel]
) -> None:
    for after, before in (pair, beside_trees):
        one, other = (load_bundle(each.bundle).delivered for each in (after, before))
        assert one.settings() == other.settings()
        assert one.fused is not None
        assert other.fused is not None
        for name in ("log_weight", "log_temperature", "bias"):
            torch.testing.assert_close(
                getattr(one.fused.fusion, name), getattr(other.fused.fusion, name), rtol=0, atol=0
            )
        for name in one.inputs:
            assert not torch.equal(
                natural(load_bundle(after.bundle), after, name, "test"),
                natural(load_bundle(before.bundle), before, name, "test"),
            )


def test_labels_that_a_refit_has_learned_from_do_not_make_it_surer(data: Path, tmp_path: Path) -> None:
    """Trees learn any labels by heart; the spread that they are given is that of rows out of sample."""
    inputs = {"size": table(["a", "b", "c"], TREES_ENCODER), "place": table(["d", "e"], TREES_ENCODER)}
    after, before = (
        build_model(configure(refit, inputs=inputs), tmp_path / "built", data, bundle=refit)
        for refit in ("all", "none")
    )
    for name in inputs:
        spread = [natural(load_bundle(each.bundle), each, name, "test")[:, 1] for each in (after, before)]
        torch.testing.assert_close(spread[0], spread[1], rtol=1e-4, atol=1e-4)


def test_only_what_is_fitted_again_has_new_keys(data: Path, pair: tuple[BuiltModel, BuiltModel]) -> None:
    trainings = data / "built" / "cache" / "trainings"
    before = {path.name for path in trainings.iterdir()}
    files = [single.head for single in pair[0].singles.values()]
    again = built(data, "again", configure("all"))
    built(data, "again-none", configure("none"))
    assert {path.name for path in trainings.iterdir()} == before, "everything was found in the cache"
    assert [single.head for single in again.singles.values()] == files
    assert {single.head for single in pair[1].singles.values()}.isdisjoint(files)


def test_trees_take_the_embeddings_that_have_not_learned_from_validation_rows(
    beside_trees: tuple[BuiltModel, BuiltModel], data: Path
) -> None:
    after, before = beside_trees
    assert after.fused is not None
    for name in after.features:
        assert after.trees[0].features[name].store == before.features[name].store
        assert after.features[name].store != before.features[name].store
    assert after.trees[0].weights != before.trees[0].weights, "they have learned from validation rows"
    predictor = Predictor(after.bundle, device="cpu")
    model = predictor.bundle.delivered
    rows = pd.read_csv(data / "rows.csv").query("split == 'test'")
    new = predictor.embed(predictor.read(rows))
    stored = open_split(after.dataset, "test", after.features, after.fused).embeddings
    target = model.targets.primary
    for candidate in (*model.inputs, TREES, FUSION):
        torch.testing.assert_close(
            model.predict(target, new, model.inputs, candidate),
            model.predict(target, stored, model.inputs, candidate),
        )
    error = model.predict(target, new, model.inputs).numpy()[:, 0] - rows["price"].to_numpy()
    assert np.square(error).mean() < 0.5 * rows["price"].var()


def test_a_bundle_without_trees_has_one_encoder_for_each_input(pair: tuple[BuiltModel, BuiltModel]) -> None:
    values = json.loads((pair[0].bundle / "model.json").read_text("utf-8"))
    assert values["encoders"]["single"] == values["encoders"]["fusion"]


def test_the_reference_of_drift_has_no_row_that_was_learned_from(
    pair: tuple[BuiltModel, BuiltModel],
) -> None:
    assert [read_sample(each.bundle / REFERENCE).rows for each in pair] == [60, 120]
    (learned,) = read_learned(pair[0].bundle)
    assert learned.ids is not None
    known = learned.ids.holds(np.array([name_key(f"r{number}") for number in range(300)], np.uint64))
    assert known[:240].all(), "training and validation rows"
    assert not known[240:].any()


def test_networks_and_a_trained_fusion_train_for_the_epochs_that_were_chosen(data: Path) -> None:
    network = {"name": "mlp", "width": 4, "hidden": [4]}
    inputs = {"size": table(["a", "b", "c"], network), "place": table(["d", "e"], network)}
    inputs = {name: {**each, "fit": {"epochs": 3}} for name, each in inputs.items()}
    fusion = {"name": "concat", "width": 4}
    after, before = (
        built(data, f"networks-{refit}", configure(refit, inputs=inputs, fusion=fusion))
        for refit in ("all", "none")
    )
    assert after.fused is not None
    assert before.fused is not None
    assert after.fused.weights != before.fused.weights
    assert after.fused.training == before.fused.training, (
        "the training that people are shown is that which chose"
    )
    for name, single in after.singles.items():
        first = before.singles[name].training
        assert first is not None
        assert single.training == first
        done = json.loads((Path(single.head).parent / "done.json").read_text("utf-8"))
        assert len(done["history"]) == first.best_epoch + 1
        assert after.fused.features[name].store == before.features[name].store
    one, other = (load_bundle(each.bundle).delivered.settings() for each in (after, before))
    assert one == other


def test_without_folds_nothing_is_given_back(data: Path) -> None:
    training = {"folds": 0, "epochs": 3, "refit": "all"}
    without = built(data, "no-folds", configure("all", training=training))
    first = built(data, "no-folds-none", configure("none", training={**training, "refit": "none"}))
    assert without.singles == first.singles
    assert read_sample(without.bundle / REFERENCE).rows == 120


class _NoTime(PlainSteps):
    """Steps that have no time left for a refit."""

    def refit(self, *arguments: Any) -> Any:
        return LeftOut("refit", "there was no time for it")

    def within(self, allowance: Allowance | None) -> PlainSteps:
        return self


def test_what_has_no_time_for_a_refit_stays_and_is_reported(
    data: Path, pair: tuple[BuiltModel, BuiltModel]
) -> None:
    config = configure("all", time_limit="10m")
    steps = _NoTime(config, data / "built", data)
    budget = Budget(config, steps.began, steps.lanes)
    parts = train(steps, config, steps.ingest(), budget)
    assert {name: each.head for name, each in parts.singles.items()} == {
        name: each.head for name, each in pair[1].singles.items()
    }
    assert [each.step for each in budget.left_out] == [
        "size with validation rows",
        "place with validation rows",
    ]
