"""Several encoders of one input: weights out of fold, one composite downstream, served as it was chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from components.config import PipelineConfig
from components.config.encoders import AudioCNNConfig, AutoConfig, CNNConfig, CompositeConfig
from components.config.presets import Quality
from components.data.samples import load_embeddings, open_samples_table
from components.explanations.results import Explanations
from components.inference.bundle import load_bundle
from components.inference.predictor import Predictor
from components.models.encoders.auto import CANDIDATES, candidates, expected_seconds
from components.models.encoders.composite import Composite
from components.models.weights import encoder_digest, open_encoder, open_preprocessor
from components.pipeline import combine as combination
from components.pipeline.learners import first_of_each, learners_of
from components.pipeline.plain import PlainSteps, Retrained
from components.pipeline.run import BuiltModel, build_model, retrain
from components.preprocess.composite import CompositePreprocessor
from components.storage.shards import ShardStore
from components.training.mixture import Mixture
from tests.components.conftest import configure

CNN = {"name": "cnn", "width": 8, "channels": [4]}
WIDE = {"name": "cnn", "width": 12, "channels": [4]}
NGRAMS = {"name": "ngrams", "width": 8, "buckets": 512}
GRU = {"name": "gru", "width": 6, "embedding": 4, "vocabulary": 60}
QUALITIES: tuple[Quality, ...] = ("fast", "good", "best")
THIRD = pytest.approx(1 / 3)
FIT = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}


def several(**changes: Any) -> PipelineConfig:
    """The tiny pipeline with two encoders of photos and of texts."""
    photo = {"modality": "image", "columns": "photo", "size": 16, "encoder": [CNN, WIDE], "fit": FIT}
    note = {"modality": "text", "columns": "note", "encoder": [NGRAMS, GRU, TFIDF], "fit": FIT}
    facts = configure().inputs["facts"].model_dump(mode="json")
    values = {
        "inputs": {"photo": photo, "note": note, "facts": facts},
        "evaluation": {
            "bootstrap": 100,
            "robustness": {"rows": 9, "severities": [5], "missing_rates": [0.5]},
            "explanations": {"samples": 1},
        },
        "audit": {"rows": 24},
    }
    return configure(**{**values, **changes})


TFIDF = {"name": "tfidf", "buckets": 512, "components": 4}


def equal_shares(
    targets: Any, natural: list[torch.Tensor], values: Any, folds: Any
) -> tuple[Mixture, torch.Tensor]:
    """All learners with the same share, so that all are part of the composite."""
    count = len(natural)
    mixture = Mixture(
        torch.full((count, len(targets)), 1 / count), torch.full((count, targets.width), 1 / count)
    )
    return mixture, mixture(natural)


@pytest.fixture(scope="module")
def whole(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Retrained, PlainSteps]:
    """A retraining whose inputs keep both of their encoders."""
    config = several()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(combination, "learn_mixture", equal_shares)
        steps = PlainSteps(config, tmp_path_factory.mktemp("several"), tiny_data)
        return retrain(steps, config, steps.ingest()), steps


def rows_of(tiny_data: Path) -> pd.DataFrame:
    table = pd.read_csv(tiny_data / "rows.csv").tail(24)
    table["photo"] = [None if pd.isna(cell) else str(tiny_data / cell) for cell in table["photo"]]
    return table


class TestRetraining:
    def test_every_optional_step_takes_a_composite(self, whole: tuple[Retrained, PlainSteps]) -> None:
        result, _ = whole
        assert result.missing == ()
        explained = result.optional["explain"]
        assert isinstance(explained, Explanations)
        inside = [name for sample in explained.samples for name in sample.inside]
        assert {"photo", "note", "facts"} <= set(inside)

    def test_learners_are_tasks_of_their_own_and_inputs_are_one_downstream(
        self, whole: tuple[Retrained, PlainSteps]
    ) -> None:
        parts = whole[0].parts
        assert list(parts.features) == list(parts.singles) == ["photo", "note", "facts"]
        assert parts.singles["facts"].learners == ()
        options = parts.features["note"].encoder.options
        assert isinstance(options, CompositeConfig)
        assert [each.name for each in options.encoders] == ["ngrams", "gru", "tfidf"]
        assert parts.features["note"].encoder.width == 8 + 6 + (3 + 4) + 3

    def test_what_was_tried_is_told(self, whole: tuple[Retrained, PlainSteps]) -> None:
        evaluation = whole[0].evaluation.evaluations[0]
        names = [(each.input, each.name, each.weight) for each in evaluation.learners]
        assert names == [
            ("photo", "cnn 1", 0.5),
            ("photo", "cnn 2", 0.5),
            ("photo", "photo", None),
            ("note", "ngrams", THIRD),
            ("note", "gru", THIRD),
            ("note", "tfidf", THIRD),
            ("note", "note", None),
        ]
        assert all(each.seconds > 0 for each in evaluation.learners if each.weight is not None)
        assert evaluation.metrics()["learner_note_gru_weight"] == THIRD
        page = Path(whole[0].report).read_text("utf-8")
        assert 'id="learners' in page
        assert {"note gru", "photo cnn 1"} <= {curve.name for curve in whole[0].evaluation.curves}

    def test_the_served_model_gives_the_embeddings_that_were_cached(
        self, whole: tuple[Retrained, PlainSteps], tiny_data: Path
    ) -> None:
        """Packed token ids of two tokenizers, pixels that are shared, from raw cells to the composite."""
        result, steps = whole
        samples = open_samples_table(result.parts.dataset).split("test", ["photo", "note"])
        predictor = Predictor(steps.bundle, "cpu")
        embedded = predictor.embed(predictor.read(rows_of(tiny_data)))
        for name in ("photo", "note"):
            cached = load_embeddings(samples, name, result.parts.features[name])
            torch.testing.assert_close(embedded.single[name], cached, atol=1e-4, rtol=1e-4)
        assert isinstance(predictor.bundle.preprocessors["note"], CompositePreprocessor)
        assert not isinstance(predictor.bundle.preprocessors["photo"], CompositePreprocessor)

    def test_rows_without_an_input_are_answered(
        self, whole: tuple[Retrained, PlainSteps], tiny_data: Path
    ) -> None:
        table = rows_of(tiny_data)
        answers = Predictor(whole[1].bundle, "cpu").predict(table)
        assert answers["label"].notna().all()
        assert set(answers["inputs"]) >= {"photo+note+facts", "photo+note"}
        alone = Predictor(whole[1].bundle, "cpu").predict(table.drop(columns=["photo", "age", "city"]))
        assert set(alone["inputs"]) == {"note", ""}

    def test_the_bundle_names_the_encoders_that_are_in_it(self, whole: tuple[Retrained, PlainSteps]) -> None:
        bundle = load_bundle(whole[1].bundle)
        assert [each.name for each in bundle.inputs["note"].encoders] == ["ngrams", "gru", "tfidf"]
        encoder = bundle.single_encoders["note"]
        assert isinstance(encoder, Composite)
        torch.testing.assert_close(encoder.scale, torch.full((3, 3), 1 / 3))

    def test_the_head_passes_on_what_the_parts_predict(self, whole: tuple[Retrained, PlainSteps]) -> None:
        parts = whole[0].parts
        reference = parts.singles["note"].encoder
        composite = open_encoder(reference, open_preprocessor(parts.prepared["note"]))
        assert isinstance(composite, Composite)
        assert encoder_digest(composite, reference.options) == reference.digest
        samples = open_samples_table(parts.dataset).split("test", ["note"])
        samples = samples[samples["note.digest"].notna()]
        embedding = load_embeddings(samples, "note", parts.features["note"])
        *vectors, predicted = embedding.split([8, 6, 7, 3], dim=1)
        decisions = [head(vector) for head, vector in zip(composite.heads, vectors, strict=True)]
        torch.testing.assert_close(predicted, torch.stack(decisions).mean(0))

    def test_training_rows_are_those_of_fits_that_have_not_seen_them(
        self, whole: tuple[Retrained, PlainSteps]
    ) -> None:
        parts = whole[0].parts
        samples = open_samples_table(parts.dataset).split("train", ["note"])
        contents = samples["note.digest"].dropna().tolist()
        unseen = parts.unseen["note"]
        outputs = ShardStore(Path(unseen.features.store), "parquet").stack(contents)[:, 21:]
        natural = ShardStore(Path(unseen.natural), "parquet").stack(contents)
        np.testing.assert_allclose(outputs, natural, atol=1e-6)
        seen = ShardStore(Path(parts.features["note"].store), "parquet").stack(contents)[:, 21:]
        assert np.abs(seen - natural).max() > 1e-3

    def test_a_second_run_makes_nothing_again(
        self, whole: tuple[Retrained, PlainSteps], tiny_data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(combination, "learn_mixture", equal_shares)
        _, steps = whole
        times = {path: path.stat().st_mtime_ns for path in (steps.folder / "cache").rglob("*.safetensors")}
        again = build_model(several(), steps.folder, tiny_data, bundle="again")
        assert all(path.stat().st_mtime_ns == time for path, time in times.items())
        assert again.features["note"].store == whole[0].parts.features["note"].store
        assert again.unseen == whole[0].parts.unseen
        assert again.features["note"].extracted == 0


def test_one_learner_left_is_taken_as_it_is(tiny: BuiltModel, tiny_data: Path) -> None:
    """A GRU of width 2 understands nothing, so the fit of the tiny pipeline is delivered."""
    note = tiny.config.inputs["note"].model_dump(mode="json")
    gru = {**GRU, "width": 2, "embedding": 2}
    inputs = {**tiny.config.inputs, "note": {**note, "encoder": [note["encoder"], gru]}}
    config = configure(inputs={name: _plain(each) for name, each in inputs.items()})
    built = build_model(config, tiny.folder, tiny_data, bundle="one-left")
    weights = {each.label: each.weights.get("label") for each in built.singles["note"].learners}
    assert weights == {"note ngrams": 1.0, "note gru": 0.0, "note": None}
    single, before = built.singles["note"], tiny.singles["note"]
    assert (single.encoder, single.head) == (before.encoder, before.head)
    assert built.features["note"].store == tiny.features["note"].store
    assert built.unseen["note"].natural == tiny.unseen["note"].natural
    assert load_bundle(built.bundle).inputs["note"].encoder == tiny.config.inputs["note"].encoder


def _plain(section: Any) -> Any:
    return section if isinstance(section, dict) else section.model_dump(mode="json")


def test_without_folds_weights_come_from_validation_rows(tiny: BuiltModel, tiny_data: Path) -> None:
    config = several(training={"epochs": 2, "folds": 0}, fusion={"name": "late"})
    built = build_model(config, tiny.folder, tiny_data, bundle="no-folds")
    assert built.unseen == {}
    assert len(built.singles["note"].learners) == 4


def test_a_single_input_with_several_encoders_has_folds(tiny: BuiltModel, tiny_data: Path) -> None:
    note = several().inputs["note"].model_dump(mode="json")
    data = {"source": "rows.csv", "split": {"column": "split"}, "max_bad": 0.5}
    config = configure(inputs={"note": note}, data=data)
    built = build_model(config, tiny.folder, tiny_data, data="data-of-notes", bundle="single")
    assert len(built.folds) == 2
    assert len(built.selection.predicted.present) == 42, "training rows that have a text"


def test_labels_and_shared_canonical_forms(tiny: BuiltModel) -> None:
    config = several()
    learners = learners_of(config, tiny.dataset)
    assert [str(each) for each in learners] == [
        "photo cnn 1",
        "photo cnn 2",
        "note ngrams",
        "note gru",
        "note tfidf",
        "facts",
    ]
    first = first_of_each(config, learners)
    assert first["photo cnn 2"].label == "photo cnn 1", "pixels of one size are made once"
    assert first["note gru"].label == "note gru", "tokens differ"
    assert first["note tfidf"].label == "note ngrams", "n-grams are those of the other"


def test_auto_names_encoders_by_rows(tiny: BuiltModel) -> None:
    note = {**configure().inputs["note"].model_dump(mode="json"), "encoder": "auto"}
    config = configure(inputs={"note": note})
    assert isinstance(config.inputs["note"].encoder, AutoConfig)
    few = [each.options.name for each in learners_of(config, tiny.dataset)]
    assert few[:2] == ["tfidf", "ngrams"]
    assert "gru" not in few
    assert "ngrams" in {each.name for each in candidates(TEXT, 5_000, "cpu")}
    assert "ngrams" not in {each.name for each in candidates(TEXT, 500_000, "cpu")}
    assert "gru" not in {each.name for each in candidates(TEXT, 5_000, "cpu")}
    assert "gru" in {each.name for each in candidates(TEXT, 200_000, "cuda")}


def section_of(modality: str, **options: Any) -> Any:
    """Options of an input of a modality."""
    values = {"modality": modality, "columns": ["x"], **options}
    return configure(inputs={"x": values}).inputs["x"]


TEXT = section_of("text")


def test_quality_decides_which_encoders_auto_tries() -> None:
    def names(modality: str, rows: int, device: str = "cpu") -> list[list[str]]:
        section = section_of(modality)
        return [[each.name for each in candidates(section, rows, device, quality)] for quality in QUALITIES]

    assert [each[0] for each in names("image", 50_000)] == ["hog"] * 3
    fast, good, best = names("tabular", 5_000)
    assert fast == ["trees", "linear"]
    assert good == [*fast, "mlp"]
    assert best == [*good, "ft_transformer"]
    assert names("text", 2_000_000) == [["tfidf"]] * 3
    fast, good, best = names("text", 200_000, "cuda")
    assert fast == ["tfidf"]
    assert "gru" in good
    assert good == best


def test_large_images_long_clips_and_many_epochs_are_expected_to_take_longer() -> None:
    def seconds(options: Any, **section: Any) -> float:
        return expected_seconds(options, section_of(**section), 900)

    small = seconds(CNNConfig(), modality="image", size=32)
    assert small > 0
    assert seconds(CNNConfig(), modality="image", size=128) == pytest.approx(16 * small)
    assert seconds(CNNConfig(), modality="image", size=32, fit={"epochs": 60}) == pytest.approx(2 * small)
    short = seconds(AudioCNNConfig(), modality="audio", seconds=1)
    assert seconds(AudioCNNConfig(), modality="audio", seconds=3) == pytest.approx(3 * short)


@pytest.mark.parametrize("modality", CANDIDATES)
@pytest.mark.parametrize("rows", [1, 10**8])
def test_auto_always_finds_an_encoder(modality: str, rows: int) -> None:
    assert candidates(section_of(modality), rows, "cpu")
