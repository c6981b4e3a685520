"""Robustness curves of a tiny delivered model."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch

from components.config import PipelineConfig
from components.config.inputs import AudioInput
from components.data.examples import as_table
from components.data.samples import open_samples_table
from components.evaluation.results import Evaluation
from components.inference.ensemble import Embeddings, InputEmbeddings
from components.inference.predictor import Predictor
from components.pipeline.evaluate import evaluate_model
from components.robustness.measure import find_corruptions, measure_robustness, sample_rows
from components.robustness.missing import ZEROS, draws, imputed, zero_parts
from components.robustness.results import Robustness
from components.targets.metrics import metric
from tests.components.conftest import CLASSES, BuiltModel, build_model, configure

PROBABILITIES = [f"probability_{name}" for name in CLASSES]


def configured(**robustness: Any) -> PipelineConfig:
    return configure(evaluation={"bootstrap": 100, "robustness": robustness})


@pytest.fixture(scope="module")
def evaluation(tiny: BuiltModel) -> Evaluation:
    return evaluate_model(
        tiny.dataset, tiny.selection, tiny.features, tiny.fused, tiny.bundle, tiny.config
    ).evaluations[0]


@pytest.fixture(scope="module")
def robustness(tiny: BuiltModel, evaluation: Evaluation) -> Robustness:
    return measure_robustness(tiny.dataset, tiny.bundle, evaluation, configured())


@pytest.fixture(scope="module")
def predictor(tiny: BuiltModel) -> Predictor:
    return Predictor(tiny.bundle, "cpu")


@pytest.fixture(scope="module")
def samples(tiny: BuiltModel) -> pd.DataFrame:
    return sample_rows(tiny.dataset, configured())


class TestDamage:
    def test_every_corruption_of_every_input_has_a_curve(self, robustness: Robustness) -> None:
        kinds = {
            "photo": ["gaussian_blur", "gaussian_noise", "jpeg", "occlusion"],
            "note": ["typos", "word_dropout"],
            "facts": ["number_noise", "missing_cells"],
        }
        expected = [(name, kind) for name, names in kinds.items() for kind in names]
        assert [(curve.input, curve.corruption) for curve in robustness.corruptions] == expected
        for curve in robustness.corruptions:
            assert [level.severity for level in curve.levels] == [0, 1, 3, 5]
            assert curve.rows == 21, "one of eight test rows lacks the input"

    def test_undamaged_rows_score_as_the_predictor_scores_them(
        self, tiny: BuiltModel, robustness: Robustness, predictor: Predictor, samples: pd.DataFrame
    ) -> None:
        target = tiny.dataset.targets.primary
        targets = tiny.dataset.targets.encode(samples)[target.name].numpy()
        has = samples["photo.digest"].notna().to_numpy()
        table = as_table(samples, tiny.config.inputs)
        embeddings = predictor.embed(predictor.read(table))
        alone = predictor.bundle.delivered.predict(target, embeddings, predictor.inputs, "photo")
        for answers, interval in (
            (
                predictor.predict(table)[PROBABILITIES].to_numpy(),
                robustness.corruptions[0].levels[0].delivered,
            ),
            (alone.numpy(), robustness.corruptions[0].levels[0].alone),
        ):
            assert interval.value == pytest.approx(metric(target, "accuracy", targets[has], answers[has]))
            assert interval.low <= interval.value <= interval.high

    def test_areas_and_losses_are_those_of_the_levels(self, robustness: Robustness) -> None:
        for curve in robustness.corruptions:
            steps = [level.severity for level in curve.levels]
            delivered, alone, late = (
                np.array(values)
                for values in zip(
                    *((level.delivered.value, level.alone.value, level.late) for level in curve.levels),
                    strict=True,
                )
            )
            assert curve.relative == pytest.approx(np.trapezoid(delivered, steps) / 5)
            assert curve.relative_alone == pytest.approx(np.trapezoid(alone, steps) / 5)
            shifted = late + delivered[0] - late[0]
            assert curve.effective == pytest.approx(np.trapezoid(delivered - shifted, steps) / 5, abs=1e-12)
            assert curve.loss == pytest.approx(delivered[0] - delivered[-1])

    def test_losing_words_costs_the_note_something(self, robustness: Robustness) -> None:
        curve = next(curve for curve in robustness.corruptions if curve.corruption == "word_dropout")
        assert curve.levels[-1].alone.value < curve.levels[0].alone.value

    def test_the_best_other_input_is_chosen_on_validation(
        self, robustness: Robustness, evaluation: Evaluation
    ) -> None:
        validation = {c.name: c.validation["accuracy"] for c in evaluation.candidates if c.kind == "single"}
        for curve in robustness.corruptions:
            rivals = {name: value for name, value in validation.items() if name != curve.input}
            assert curve.other is not None
            assert rivals[curve.other] == max(rivals.values())

    def test_only_what_is_asked_for_is_done(self, tiny: BuiltModel, evaluation: Evaluation) -> None:
        config = configured(corruptions=["typos", "white_noise"], severities=[2], missing_rates=[])
        calls: list[tuple[int, int]] = []
        robustness = measure_robustness(
            tiny.dataset,
            tiny.bundle,
            evaluation,
            config,
            lambda done, total, note: calls.append((done, total)),
        )
        (curve,) = robustness.corruptions
        assert (curve.corruption, [level.severity for level in curve.levels]) == ("typos", [0, 2])
        assert robustness.missing == ()
        assert calls == [(1, 2), (2, 2)]
        none = measure_robustness(tiny.dataset, tiny.bundle, evaluation, configured(severities=[], rows=5))
        assert none.corruptions == ()
        assert (none.rows, none.test_rows) == (5, 24)

    def test_numbers_are_off_by_the_deviation_of_the_training_rows(
        self, tiny: BuiltModel, predictor: Predictor
    ) -> None:
        chosen = find_corruptions(predictor, configured(corruptions=["number_noise"]))
        noisy = [
            chosen[0].apply({"age": 30.0, "city": "Bonn"}, 4, np.random.default_rng(seed))
            for seed in range(400)
        ]
        train = open_samples_table(tiny.dataset).rows(["facts"], values=True).query("split == 'train'")
        ages = pd.to_numeric(train["facts.age"])
        robust = (ages.quantile(0.75) - ages.quantile(0.25)) / 1.349
        assert np.std([cells["age"] for cells in noisy]) == pytest.approx(robust, rel=0.15)  # 400 draws
        assert {cells["city"] for cells in noisy} == {"Bonn"}

    def test_the_same_curves_come_again_whatever_the_batch(
        self,
        tiny: BuiltModel,
        evaluation: Evaluation,
        robustness: Robustness,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("components.robustness.measure._BATCH", 7)
        again = measure_robustness(tiny.dataset, tiny.bundle, evaluation, configured())
        assert again == robustness

    def test_a_file_that_is_gone_is_a_missing_input_not_the_end(
        self, tiny: BuiltModel, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost(*arguments: Any) -> pd.DataFrame:
            samples = sample_rows(*arguments)
            samples["photo.path"] = samples["photo.path"].where(samples.index > 0, "gone.png")
            return samples

        monkeypatch.setattr("components.robustness.measure.sample_rows", lost)
        robustness = measure_robustness(tiny.dataset, tiny.bundle, evaluation, configured(severities=[1]))
        assert robustness.corruptions[0].rows == 20


class TestMissing:
    def test_curves_of_all_inputs_and_of_each(self, robustness: Robustness) -> None:
        assert [set(curve.inputs) for curve in robustness.missing] == [
            {"photo", "note", "facts"},
            {"photo"},
            {"note"},
            {"facts"},
        ]
        for curve in robustness.missing:
            assert [level.rate for level in curve.levels] == [0.0, 0.25, 0.5, 0.75, 0.9]
            hidden = [level.hidden for level in curve.levels]
            assert hidden[0] == 0
            assert hidden == sorted(hidden)

    def test_about_the_share_that_is_asked_for_is_hidden(self, robustness: Robustness) -> None:
        everything = robustness.missing[0]
        for level in everything.levels:
            assert level.hidden / 63 == pytest.approx(level.rate, abs=0.2)  # 63 cells: three standard errors
        assert everything.levels[0].empty == 0 < everything.levels[-1].empty

    def test_with_all_hidden_the_model_answers_with_the_class_frequencies(
        self, tiny: BuiltModel, evaluation: Evaluation
    ) -> None:
        robustness = measure_robustness(
            tiny.dataset, tiny.bundle, evaluation, configured(missing_rates=[1.0])
        )
        gone = robustness.missing[0].levels[-1]
        assert (gone.hidden, gone.empty) == (63, 24)
        assert gone.masked.value == pytest.approx(evaluation.prior_value)
        only = next(curve for curve in robustness.missing if curve.inputs == ("note",)).levels[-1]
        without = next(s for s in evaluation.subsets if set(s.inputs) == {"photo", "facts"})
        assert only.masked.value == pytest.approx(without.metric.value), "the subset's own number"

    def test_draws_belong_to_row_and_input_and_to_nothing_else(self) -> None:
        ids = [f"row-{number}" for number in range(300)]
        all_draws = draws(ids, ["a", "b"], 5)
        np.testing.assert_array_equal(draws(ids[7:9], ["b"], 5)[:, 0], all_draws[7:9, 1])
        assert abs(np.corrcoef(all_draws.T)[0, 1]) < 0.2  # three standard errors of 300 pairs
        assert (draws(ids, ["a", "b"], 6) != all_draws).all()


class TestZeros:
    def test_zeros_are_what_a_user_would_give(self, tiny: BuiltModel, predictor: Predictor) -> None:
        canonical = {
            name: predictor.bundle.preprocessors[name].canonical(ZEROS[config.modality](config))
            for name, config in tiny.config.inputs.items()
        }
        assert not canonical["photo"].any(), "a black picture"
        age = predictor.bundle.preprocessors["facts"].canonical({"age": 0.0, "city": "0"})
        np.testing.assert_array_equal(canonical["facts"], age)
        note = predictor.bundle.preprocessors["note"].canonical("")
        np.testing.assert_array_equal(canonical["note"], note)

    def test_silence_is_silent_and_as_long_as_a_clip(self) -> None:
        wave, rate = sf.read(io.BytesIO(ZEROS["audio"](AudioInput(columns=["a"], seconds=0.5))))
        assert len(wave) / rate == 0.5
        assert not wave.any()

    def test_gaps_are_scored_as_rows_that_hold_zeros(
        self, tiny: BuiltModel, predictor: Predictor, samples: pd.DataFrame
    ) -> None:
        """Zeros in embeddings by imputed() equal zeros that a user writes into the table."""
        table = as_table(samples, tiny.config.inputs).head(8)
        zeros = zero_parts(predictor)
        parts = predictor.embed(predictor.read(table)).inputs
        keep = {name: part.present & (torch.arange(8) % 2 == 0) for name, part in parts.items()}
        filled = {name: imputed(parts[name], zeros[name], keep[name]) for name in parts}
        predictions = predictor.bundle.delivered.predict(
            tiny.dataset.targets.primary, Embeddings.of(filled), predictor.inputs
        ).numpy()
        given = table.astype(object)
        for row in range(8):
            for name, config in tiny.config.inputs.items():
                if not keep[name][row]:
                    zero = ZEROS[config.modality](config)
                    # an empty text would be a missing one: a sign that cleaning takes out is not
                    cells = zero if isinstance(zero, dict) else {config.columns[0]: zero or "\x01"}
                    for column, cell in cells.items():
                        given.at[given.index[row], column] = cell
        expected = predictor.predict(given)
        assert set(expected["inputs"]) == {"photo+note+facts"}
        np.testing.assert_allclose(
            predictions, expected[PROBABILITIES], atol=1e-5
        )  # float32 in other batches

    def test_sequences_of_tokens_are_padded_to_the_longer(self) -> None:
        rows, zero = torch.ones(3, 2, 4), torch.full((1, 5, 4), 2.0)
        keep = torch.tensor([True, False, True])
        filled_in = imputed(
            InputEmbeddings(rows, rows, keep),
            InputEmbeddings(zero, zero, torch.ones(1, dtype=torch.bool)),
            keep,
        )
        assert filled_in.single.shape == (3, 5, 4)
        assert filled_in.single[:, :, 0].tolist() == [[1, 1, 0, 0, 0], [2] * 5, [1, 1, 0, 0, 0]]
        assert filled_in.fusion is filled_in.single
        assert filled_in.present.all()
        nothing = torch.zeros(3, 4)  # what an input is that no row of the batch has: no tokens
        none = imputed(
            InputEmbeddings(nothing, nothing, keep),
            InputEmbeddings(zero, zero, keep[:1]),
            torch.zeros(3, dtype=torch.bool),
        )
        assert none.single.shape == (3, 5, 4)


def test_rows_are_a_seeded_sample_in_their_order(tiny: BuiltModel) -> None:
    few = sample_rows(tiny.dataset, configured(rows=10))["id"].tolist()
    whole = sample_rows(tiny.dataset, configured(rows=24))["id"].tolist()
    assert len(set(few)) == 10
    assert [key for key in whole if key in few] == few
    assert few == sample_rows(tiny.dataset, configured(rows=10))["id"].tolist()
    other = configured(rows=10).model_copy(update={"seed": 1})
    assert few != sample_rows(tiny.dataset, other)["id"].tolist()


@pytest.mark.parametrize("name", ["log_loss", "roc_auc"])
def test_other_metrics_have_their_own_direction(tiny: BuiltModel, evaluation: Evaluation, name: str) -> None:
    given = replace(evaluation, metric=name)
    config = configured(corruptions=["word_dropout"], severities=[5], missing_rates=[0.5])
    robustness = measure_robustness(tiny.dataset, tiny.bundle, given, config)
    (curve,) = robustness.corruptions
    assert curve.loss > 0, "worse is positive for every metric"
    first, last = (level.delivered.value for level in curve.levels)
    assert (last > first) == (name == "log_loss")


def test_a_model_of_one_input_has_no_late_fusion_to_compare_with(
    tiny_data: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = configured(severities=[3], missing_rates=[0.5])
    data = config.data.model_copy(update={"max_bad": 0.2})  # rows without facts have no input at all
    config = config.model_copy(update={"inputs": {"facts": config.inputs["facts"]}, "data": data})
    built = build_model(config, tmp_path_factory.mktemp("one"), tiny_data)
    evaluation = evaluate_model(
        built.dataset, built.selection, built.features, None, built.bundle, config
    ).evaluations[0]
    robustness = measure_robustness(built.dataset, built.bundle, evaluation, config)
    assert [curve.inputs for curve in robustness.missing] == [("facts",)]
    for curve in robustness.corruptions:
        assert np.isnan(curve.effective)
        assert curve.other is None
        assert curve.levels[-1].delivered == curve.levels[-1].alone
