"""The champion is replaced only by what is better on the same rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.config import PipelineConfig
from components.data.examples import as_table
from components.data.samples import open_samples_table
from components.data.spelling import Spelling
from components.inference.predictor import Predictor
from components.pipeline.evaluate import ModelEvaluation, evaluate_model
from components.promotion.budget import Budget
from components.promotion.compare import FIRST, Rival, compare
from components.promotion.unknown import common, spelled_as
from components.promotion.verdict import Verdict
from components.targets import Classification, Multilabel
from tests.components.conftest import CLASSES, BuiltModel

PROBABILITIES = [f"probability_{name}" for name in CLASSES]


@pytest.fixture(scope="module")
def evaluated(tiny: BuiltModel) -> ModelEvaluation:
    return evaluate_model(tiny.dataset, tiny.selection, tiny.features, tiny.fused, tiny.bundle, tiny.config)


@pytest.fixture(scope="module")
def weak(tiny: BuiltModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same bundle, but the weakest candidate answers."""
    folder = tmp_path_factory.mktemp("weak") / "bundle"
    shutil.copytree(tiny.bundle, folder)
    values = json.loads((folder / "model.json").read_text("utf-8"))
    for entry in values["delivered"]["label"]["candidate"]:
        entry[1] = "facts" if "facts" in entry[0] else "fusion"
    (folder / "model.json").write_text(json.dumps(values), "utf-8")
    return folder


class TestJudge:
    def test_predictions_are_those_of_the_bundle(self, tiny: BuiltModel, evaluated: ModelEvaluation) -> None:
        samples = open_samples_table(tiny.dataset).rows(list(tiny.config.inputs), values=True)
        test = samples[samples["split"] == "test"]
        predictions = Predictor(tiny.bundle, "cpu").predict(as_table(test, tiny.config.inputs))
        assert evaluated.predictions["id"].tolist() == test["id"].tolist()
        assert evaluated.predictions["target.label"].tolist() == test["target.label"].tolist()
        assert evaluated.predictions["label"].tolist() == predictions["label"].tolist()
        np.testing.assert_allclose(
            evaluated.predictions[PROBABILITIES], predictions[PROBABILITIES], atol=1e-5
        )  # features in batches of 128, here of 24

    def test_the_headline_is_the_share_of_right_predictions(self, evaluated: ModelEvaluation) -> None:
        predictions, evaluation = evaluated.predictions, evaluated.evaluations[0]
        right = (predictions["label"] == predictions["target.label"]).mean()
        assert evaluation.score.value == pytest.approx(right)
        assert evaluation.rows == {"val": 48, "test": 24}, "the training rows out of fold choose"

    def test_every_candidate_and_every_subset_is_judged(self, evaluated: ModelEvaluation) -> None:
        names = [candidate.name for candidate in evaluated.evaluations[0].candidates]
        assert names == ["photo", "note", "facts", "average", "late", "fusion", "ensemble", "delivered"]
        assert len(evaluated.evaluations[0].subsets) == 7
        assert set(evaluated.evaluations[0].shapley) == {"photo", "note", "facts"}

    def test_the_worst_samples_are_shown_with_their_media(self, evaluated: ModelEvaluation) -> None:
        shown = evaluated.evaluations[0].samples
        assert len(shown) == 12
        assert all(sample.media for sample in shown)


def _log_loss(tiny: BuiltModel, bundle: Path) -> float:
    samples = open_samples_table(tiny.dataset).rows(list(tiny.config.inputs), values=True)
    test = samples[samples["split"] == "test"]
    predictions = Predictor(bundle, "cpu").predict(as_table(test, tiny.config.inputs))
    own = [
        row[f"probability_{label}"]
        for (_, row), label in zip(predictions.iterrows(), test["target.label"], strict=True)
    ]
    return float(-np.log(own).mean())


def versus(
    tiny: BuiltModel,
    challenger: Path,
    champion: Path,
    config: PipelineConfig | None = None,
    budget: Budget | None = None,
) -> Verdict:
    return compare(
        tiny.dataset,
        Rival(challenger, "version 2"),
        Rival(champion, "version 1"),
        config or tiny.config,
        tiny.folder / "data",
        Path(tiny.dataset.source).parent,
        budget,
    )


def test_the_first_model_is_champion() -> None:
    assert FIRST.promote
    assert FIRST.gain is None


def test_an_identical_challenger_is_not_promoted(tiny: BuiltModel, evaluated: ModelEvaluation) -> None:
    verdict = versus(tiny, tiny.bundle, tiny.bundle)
    assert not verdict.promote
    assert verdict.gain is not None
    assert (verdict.gain.value, verdict.gain.low, verdict.gain.high) == (0, 0, 0)
    assert "not shown to be better than version 1 on the same 24 test rows" in verdict.reason


def test_a_better_challenger_is_promoted(
    tiny: BuiltModel, evaluated: ModelEvaluation, weak: Path, config: Callable[..., PipelineConfig]
) -> None:
    verdict = versus(tiny, tiny.bundle, weak, config(promotion={"confidence": 0.6}))  # of 24 rows
    assert verdict.promote
    assert verdict.gain is not None
    assert verdict.gain.low > 0
    assert verdict.reason.startswith("accuracy better than version 1 on the same 24 test rows: gain +")


def test_a_worse_challenger_is_not_promoted(tiny: BuiltModel, evaluated: ModelEvaluation, weak: Path) -> None:
    verdict = versus(tiny, weak, tiny.bundle)
    assert not verdict.promote
    assert verdict.gain is not None
    assert verdict.gain.high < 0


def test_a_comparison_is_paid_for_and_a_spent_budget_promotes_nothing(
    tiny: BuiltModel, evaluated: ModelEvaluation, weak: Path, config: Callable[..., PipelineConfig]
) -> None:
    options = config(promotion={"confidence": 0.6})
    first = versus(tiny, tiny.bundle, weak, options)
    assert first.budget is not None
    assert first.budget.left == pytest.approx(0.95)
    assert "1st comparison on these rows, 95% of the error budget left" in first.reason
    assert first.metrics()["promotion_budget_left"] == pytest.approx(0.95)
    again = versus(tiny, tiny.bundle, weak, options, first.budget)
    assert again == first, "the same comparison costs nothing"
    spent = replace(first.budget, left=1e-9, pair="", comparisons=300.0)
    late = versus(tiny, tiny.bundle, weak, options, spent)
    assert late.gain == first.gain
    assert not late.promote
    assert "301st comparison on these rows, 0% of the error budget left" in late.reason


def test_a_challenger_that_is_not_worse_is_promoted_where_that_is_the_aim(
    tiny: BuiltModel, evaluated: ModelEvaluation, weak: Path, config: Callable[..., PipelineConfig]
) -> None:
    options = config(promotion={"aim": "not_worse", "margin": 0.1})
    equal, worse = versus(tiny, tiny.bundle, tiny.bundle, options), versus(tiny, weak, tiny.bundle, options)
    assert (equal.promote, worse.promote) == (True, False)
    assert equal.reason.startswith("accuracy not worse than version 1 on the same 24 test rows: gain +0.0000")
    assert "required above -0.1" in worse.reason
    assert equal.budget is None, "no discovery, and not paid for"


def test_a_gain_below_the_demanded_one_is_not_enough(
    tiny: BuiltModel, evaluated: ModelEvaluation, weak: Path, config: Callable[..., PipelineConfig]
) -> None:
    verdict = versus(tiny, tiny.bundle, weak, config(promotion={"min_gain": 0.9}))
    assert not verdict.promote
    assert "required above 0.9" in verdict.reason


def test_the_metric_of_promotion_wins_over_that_of_evaluation(
    tiny: BuiltModel, evaluated: ModelEvaluation, weak: Path, config: Callable[..., PipelineConfig]
) -> None:
    options = config(promotion={"metric": "log_loss"})
    verdict = versus(tiny, tiny.bundle, weak, options)
    assert verdict.reason.startswith("log_loss ")
    assert verdict.gain is not None
    losses = evaluated.evaluations[0].delivered.test["log_loss"].value, _log_loss(tiny, weak)
    assert verdict.gain.value == pytest.approx(losses[1] - losses[0], rel=1e-3), "a lower loss is a gain"


def with_classes(bundle: Path, folder: Path, classes: list[str]) -> Path:
    """Copy a model of an earlier braid, whose classes have other names."""
    shutil.copytree(bundle, folder)
    values = json.loads((folder / "model.json").read_text("utf-8"))
    values["targets"][0]["classes"] = classes
    del values["spellings"]
    (folder / "model.json").write_text(json.dumps(values), "utf-8")
    return folder


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_both_are_compared_on_rows_of_classes_that_the_champion_knows(
    tiny: BuiltModel,
    evaluated: ModelEvaluation,
    tmp_path: Path,
    config: Callable[..., PipelineConfig],
    metric: str,
) -> None:
    champion = with_classes(tiny.bundle, tmp_path / "bundle", ["ant", "bee", "dog"])  # cat is new
    options = config(promotion={"metric": metric, "max_unknown": 0.4, "min_rows": 10})
    verdict = versus(tiny, tiny.bundle, champion, options)
    assert verdict.gain is not None
    assert "33% of the test rows are left out, as the champion does not know 'cat'" in verdict.reason
    assert "on the same 16 test rows" in verdict.reason
    assert np.isfinite([verdict.gain.value, verdict.gain.low, verdict.gain.high]).all()
    assert {check.name: check.found for check in verdict.checks}["unknown classes"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("classes", [["ant", "bee", "dog"], ["x", "y", "z"]])
def test_too_many_unknown_rows_decide_nothing(
    tiny: BuiltModel, evaluated: ModelEvaluation, tmp_path: Path, classes: list[str]
) -> None:
    verdict = versus(tiny, tiny.bundle, with_classes(tiny.bundle, tmp_path / "bundle", classes))
    assert not verdict.promote
    assert verdict.undecided
    assert verdict.gain is None
    assert "promotion.max_unknown is 20%" in verdict.reason
    assert "'cat'" in verdict.reason


def test_a_champion_with_other_letters_of_the_same_words_is_the_same(
    tiny: BuiltModel, evaluated: ModelEvaluation, tmp_path: Path
) -> None:
    champion = with_classes(tiny.bundle, tmp_path / "bundle", ["ant\u200b", " bee", "cat\ufeff"])
    assert versus(tiny, tiny.bundle, champion) == versus(tiny, tiny.bundle, tiny.bundle)


class TestCommon:
    CELLS = ("a", "b", None, "c", "a")

    def test_rows_of_unknown_classes_are_left_out(self) -> None:
        target = Classification("t", "accuracy", ("a", "b", "c"))
        part = common(target, self.CELLS, Classification("t", "accuracy", ("b", "a", "x")))
        assert part.unknown == ("c",)
        assert part.share == 0.25
        assert part.rows.tolist() == [True, True, False, False, True]

    def test_labels_that_are_unknown_are_left_out_and_their_rows_stay(self) -> None:
        target = Multilabel("t", "f1_macro", ("a", "b", "c"), "|", "none")
        champion = Multilabel("t", "f1_macro", ("c", "a"), "|", "none")
        part = common(target, ("a|b", "c", None, "none", "b"), champion)
        assert part.target.columns == ("a", "c")
        assert (part.unknown, part.share) == (("b",), 0.5)
        assert part.rows.tolist() == [True, True, False, True, True]
        assert part.values[[0, 1, 3, 4]].tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]

    def test_a_truth_and_a_bit_are_one_class(self) -> None:
        bits = Classification("t", "accuracy", ("0", "1"))
        truths = Classification("t", "accuracy", ("false", "true"))
        assert spelled_as(bits, Spelling("boolean")) == truths
        assert spelled_as(truths, Spelling("number")) == bits


def test_rows_go_back_to_the_manifests_columns(tiny: BuiltModel) -> None:
    samples = open_samples_table(tiny.dataset).rows(list(tiny.config.inputs), values=True)
    table = as_table(samples, tiny.config.inputs)
    assert list(table.columns) == ["photo", "note", "age", "city"]
    manifest = pd.read_csv(tiny.dataset.source).astype(object)
    manifest = manifest.where(manifest.notna(), None)
    assert table["note"].tolist() == manifest["note"].tolist()
    assert table["city"].tolist() == manifest["city"].tolist()
    assert table["photo"].isna().tolist() == manifest["photo"].isna().tolist()
    assert table["age"].dropna().astype(float).tolist() == manifest["age"].dropna().tolist()
    assert not table.map(lambda cell: isinstance(cell, float) and np.isnan(cell)).any(axis=None)
