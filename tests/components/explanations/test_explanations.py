"""Shares of inputs and explanations of a tiny delivered model."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.config import PipelineConfig
from components.data.examples import as_table
from components.data.samples import open_samples_table
from components.errors import ModelError
from components.explanations.explain import choose_rows, explain_samples
from components.explanations.figures import explanation_figures
from components.explanations.results import Effect, Explanations, Inside
from components.inference.attribution import check_number
from components.inference.predictor import Predictor
from components.pipeline.evaluate import ModelEvaluation, evaluate_model
from components.report.content import DataSummary, Report
from components.report.page import render_report
from components.targets import AnyTarget, Classification, Multilabel, Regression
from tests.components.conftest import CLASSES, BuiltModel, configure
from tests.components.report.test_page import through_json

NAMES = ("photo", "note", "facts")
SHARES = [f"share_{name}" for name in NAMES]
EVIL = "<script>alert('x')</script>$\\frac{&\""


def configured(**explanations: Any) -> PipelineConfig:
    return configure(evaluation={"bootstrap": 100, "explanations": explanations})


@pytest.fixture(scope="module")
def predictor(tiny: BuiltModel) -> Predictor:
    return Predictor(tiny.bundle, "cpu")


@pytest.fixture(scope="module")
def table(tiny: BuiltModel) -> pd.DataFrame:
    samples = open_samples_table(tiny.dataset).rows(list(tiny.config.inputs), values=True)
    return as_table(samples[samples["split"] == "test"], tiny.config.inputs)


@pytest.fixture(scope="module")
def evaluated(tiny: BuiltModel) -> ModelEvaluation:
    return evaluate_model(tiny.dataset, tiny.selection, tiny.features, tiny.fused, tiny.bundle, tiny.config)


@pytest.fixture(scope="module")
def explanations(tiny: BuiltModel, evaluated: ModelEvaluation) -> Explanations:
    return explain_samples(tiny.dataset, tiny.bundle, evaluated.predictions, configured(samples=3, detail=16))


class TestShares:
    def test_they_sum_to_the_answer_less_the_prior_in_every_row(
        self, predictor: Predictor, table: pd.DataFrame
    ) -> None:
        scored = predictor.predict(table, explain=True)
        prior = predictor.bundle.delivered.prior_prediction(predictor.bundle.delivered.targets.primary)
        before = [float(prior[CLASSES.index(label)]) for label in scored["label"]]
        gained = np.log(scored["probability"]) - np.log(before)
        np.testing.assert_allclose(scored[SHARES].sum(axis=1), gained, atol=1e-5)  # float32 sums

    def test_a_missing_input_has_none(self, predictor: Predictor, table: pd.DataFrame) -> None:
        scored = predictor.predict(table, explain=True)
        for name in NAMES:
            missing = ~scored["inputs"].str.split("+").map(lambda inputs, name=name: name in inputs)
            assert missing.any()
            assert (scored.loc[missing, f"share_{name}"] == 0).all()
            assert (scored.loc[~missing, f"share_{name}"] != 0).any()

    def test_they_are_an_option_that_changes_nothing_else(
        self, predictor: Predictor, table: pd.DataFrame
    ) -> None:
        plain, explained = predictor.predict(table), predictor.predict(table, explain=True)
        assert not [name for name in plain if str(name).startswith("share_")]
        pd.testing.assert_frame_equal(explained.drop(columns=SHARES), plain)

    def test_inputs_that_may_not_be_used_have_none(self, predictor: Predictor, table: pd.DataFrame) -> None:
        scored = predictor.predict(table, inputs=["note"], explain=True)
        assert not scored[["share_photo", "share_facts"]].to_numpy().any()
        only_note = scored["inputs"] == "note"
        gained = np.log(scored["probability"]) - np.log(1 / 3)
        np.testing.assert_allclose(scored["share_note"][only_note], gained[only_note], atol=1e-5)

    def test_those_of_the_run_are_those_of_the_predictor(
        self, predictor: Predictor, table: pd.DataFrame, evaluated: ModelEvaluation
    ) -> None:
        scored = predictor.predict(table, explain=True)
        np.testing.assert_allclose(evaluated.predictions[SHARES], scored[SHARES], atol=1e-4)
        by_id = evaluated.predictions.set_index("id")
        for sample in evaluated.evaluations[0].samples:
            assert [sample.shares[name] for name in NAMES] == pytest.approx(
                by_id.loc[sample.id, SHARES].tolist(), abs=1e-6
            )

    def test_an_empty_table_is_explained(self, predictor: Predictor, table: pd.DataFrame) -> None:
        assert list(predictor.predict(table.head(0), explain=True)[SHARES].columns) == SHARES

    def test_more_than_six_inputs_are_refused_with_what_to_do(self) -> None:
        check_number([f"i{number}" for number in range(6)])
        with pytest.raises(ModelError, match=r"127 subsets of 7 inputs; .* up to 6. Name as many"):
            check_number([f"i{number}" for number in range(7)])


LABELS = Multilabel("y", "f1_micro", classes=("a", "b"), separator="|", none="none")
NUMBER = Regression("y", "mae", mean=0.0, std=1.0, loss="gaussian")
WORD = Classification("y", "accuracy", classes=("a", "b"))


class TestChoice:
    @pytest.mark.parametrize(
        ("target", "values", "predictions"),
        [
            (WORD, [0, 0, 0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4], [0.5, 0.5]]),
            (
                LABELS,
                [[1, 0], [1, 0], [1, 0], [1, 0], [1, 1]],
                [[0.9, 0.1], [0.2, 0.8], [0.7, 0.2], [0.6, 0.4], [0.5, 0.5]],
            ),
            (NUMBER, [0, 0, 0, 0, 0], [[0.1, 1], [9, 1], [1, 1], [1.5, 1], [1.2, 1]]),
        ],
        ids=["class", "labels", "number"],
    )
    def test_the_worst_come_first_and_typical_right_ones_follow(
        self, target: AnyTarget, values: list[Any], predictions: list[list[float]]
    ) -> None:
        known = np.array([True, True, True, True, False])
        dtype = np.int64 if target is WORD else np.float64
        given = (target, np.array(values, dtype), np.array(predictions), known)
        assert choose_rows(*given, 1) == [(1, "worst"), (2, "typical")]
        assert {row for row, _ in choose_rows(*given, 9)} == {0, 1, 2, 3}, "the last has no target"

    def test_where_nothing_is_right_there_are_the_worst_alone(self) -> None:
        wrong = np.array([[0.1, 0.9]] * 3)
        chosen = choose_rows(WORD, np.zeros(3, np.int64), wrong, np.ones(3, bool), 2)
        assert chosen == [(0, "worst"), (1, "worst")]


class TestExplanations:
    def test_worst_and_typical_test_rows_are_explained(
        self, tiny: BuiltModel, explanations: Explanations, evaluated: ModelEvaluation
    ) -> None:
        assert [sample.kind for sample in explanations.samples] == ["worst"] * 3 + ["typical"] * 3
        worst = evaluated.evaluations[0].samples[:3]
        assert [sample.id for sample in explanations.samples[:3]] == [sample.id for sample in worst]
        by_id = evaluated.predictions.set_index("id")
        truth = open_samples_table(tiny.dataset).rows().set_index("id")["target.label"]
        for sample in explanations.samples:
            row = by_id.loc[sample.id]
            assert (sample.predicted, sample.label) == (row["label"], truth[sample.id])
            assert sample.probability == pytest.approx(row["probability"], abs=1e-5)
            assert list(sample.shares.values()) == pytest.approx(row[SHARES].tolist(), abs=1e-4)
            assert (sample.predicted == sample.label) or sample.kind == "worst"

    def test_inputs_that_are_there_have_an_inside(self, tiny: BuiltModel, explanations: Explanations) -> None:
        digests = open_samples_table(tiny.dataset).rows(NAMES).set_index("id")
        for sample in explanations.samples:
            present = digests.loc[sample.id, [f"{name}.digest" for name in NAMES]].notna()
            assert list(sample.inside) == [name for name, has in zip(NAMES, present, strict=True) if has]
            assert list(sample.without) == list(sample.inside)
            for name, inside in sample.inside.items():
                modality = {"photo": "image", "note": "text", "facts": "tabular"}[name]
                assert inside.modality == modality
                assert [heatmap.column for heatmap in inside.heatmaps] == ["photo"] * (modality == "image")
                assert not inside.several
                for heatmap in inside.heatmaps:
                    assert heatmap.effect == pytest.approx(sample.without[name])

    def test_columns_sum_to_what_the_answer_loses_without_the_table(self, explanations: Explanations) -> None:
        with_facts = [sample for sample in explanations.samples if "facts" in sample.inside]
        assert with_facts
        for sample in with_facts:
            effects = [part.effect or 0.0 for part in sample.inside["facts"].effects]
            assert sum(effects) == pytest.approx(sample.without["facts"], abs=1e-5)

    def test_the_words_that_tell_the_class_weigh_more_than_the_row_number(
        self, explanations: Explanations
    ) -> None:
        """Every note ends in a word made of its split and row, which no other row has."""
        own, number = [], []
        for sample in explanations.samples:
            if sample.kind == "typical" and "note" in sample.inside:
                effects = [part.effect for part in sample.inside["note"].effects if part.effect is not None]
                own.append(max(effects[:-1]))
                number.append(abs(effects[-1]))
        assert own
        assert np.mean(own) > np.mean(number)

    def test_the_same_is_found_again_and_survives_its_json(
        self, tiny: BuiltModel, evaluated: ModelEvaluation, explanations: Explanations
    ) -> None:
        again = explain_samples(
            tiny.dataset, tiny.bundle, evaluated.predictions, configured(samples=3, detail=16)
        )
        assert again == explanations
        assert Explanations.from_json(explanations.to_json()) == explanations

    def test_progress_tells_each_row(self, tiny: BuiltModel, evaluated: ModelEvaluation) -> None:
        calls: list[tuple[int, int]] = []
        explain_samples(
            tiny.dataset,
            tiny.bundle,
            evaluated.predictions,
            configured(samples=1, detail=16),
            lambda done, total, note: calls.append((done, total)),
        )
        assert calls == [(1, 2), (2, 2)]


def report_of(evaluated: ModelEvaluation, explanations: Explanations | None) -> Report:
    return Report(
        title="tiny",
        created="2026-11-24 01:00 UTC",
        evaluation=evaluated.evaluations[0],
        data=DataSummary(source="rows.csv", digest="9f31", splits={"test": 24}),
        explanations=explanations,
    )


class TestPages:
    def test_the_report_shows_every_sample_with_its_inside(
        self, evaluated: ModelEvaluation, explanations: Explanations
    ) -> None:
        html = render_report(report_of(evaluated, explanations))
        assert 'href="#explanations"' in html
        assert html.count('class="explained"') == 6
        pictures = sum("photo" in sample.inside for sample in explanations.samples)
        assert html.count('<div class="heat">') == pictures
        assert html.count('<div class="cells">') == sum(
            "facts" in sample.inside for sample in explanations.samples
        )
        assert render_report(through_json(report_of(evaluated, explanations))) == html

    def test_without_explanations_there_is_no_such_section(self, evaluated: ModelEvaluation) -> None:
        assert "explanations" not in render_report(report_of(evaluated, None))

    def test_words_cells_and_names_are_escaped(
        self, evaluated: ModelEvaluation, explanations: Explanations
    ) -> None:
        inside = {
            EVIL: Inside("text", effects=(Effect(EVIL, 0.5),)),
            "facts": Inside("tabular", effects=(Effect(EVIL, -0.5, EVIL), Effect("–", None, EVIL))),
        }
        sample = replace(
            explanations.samples[0],
            id=EVIL,
            label=EVIL,
            predicted=EVIL,
            inside=inside,
            shares={EVIL: 0.1, "facts": 0},
            without={EVIL: 0.1, "facts": 0},
        )
        evil = replace(explanations, inputs=(EVIL, "facts"), samples=(sample,))
        html = render_report(report_of(evaluated, evil))
        assert "<script" not in html
        assert "nan" not in html
        assert explanation_figures(evil)

    def test_figures_draw_every_sample(self, explanations: Explanations) -> None:
        figures = explanation_figures(explanations)
        assert len(figures) == len(explanations.samples)
        assert all(name.startswith("explanations/") for name in figures)
        for figure in figures.values():
            png = io.BytesIO()
            figure.savefig(png, format="png")
            assert (np.asarray(Image.open(png).convert("L")) < 200).mean() > 0.005
