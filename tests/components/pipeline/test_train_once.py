"""Fits, probes and fusions: keyed by everything they depend on, so done once and never stale."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from components.config import PipelineConfig
from components.data.samples import load_embeddings, open_samples_table
from components.errors import DataError
from components.models.weights import open_preprocessor, read_tensors
from components.pipeline.extract import extract
from components.pipeline.fit import fit, probe
from components.pipeline.fuse import fuse, joint_encoders, train_jointly, training_prior
from components.pipeline.preprocess import prepare
from components.preprocess import fingerprint
from components.references import Dataset, Features, Single, Trained
from components.training.checkpoint import read_history
from components.training.loop import BEST
from tests.components.conftest import CLASSES, BuiltModel
from tests.components.small_targets import alone

End = Callable[[Generator[Any, None, Any]], Any]
Config = Callable[..., PipelineConfig]
FUSIONS: dict[str, dict[str, Any]] = {
    "concat": {"name": "concat", "width": 8},
    "late": {"name": "late"},
    "gated": {"name": "gated", "width": 8},
    "transformer": {"name": "transformer", "width": 8, "heads": 2},
}


def trainings(tiny: BuiltModel) -> Path:
    return tiny.folder / "cache" / "trainings"


def with_input(config: PipelineConfig, name: str, **changes: Any) -> PipelineConfig:
    section = config.inputs[name].model_copy(update=changes)
    return config.model_copy(update={"inputs": {**config.inputs, name: section}})


class TestFit:
    def test_the_second_time_replays(self, tiny: BuiltModel, run_to_end: End) -> None:
        before = sorted(trainings(tiny).rglob("*"))
        again = run_to_end(fit(tiny.dataset, tiny.prepared["photo"], tiny.config, trainings(tiny)))
        assert again == tiny.singles["photo"]
        assert sorted(trainings(tiny).rglob("*")) == before

    @pytest.mark.parametrize(
        "change", ["seed", "metric", "epochs", "encoder", "augment", "labels", "content", "preprocessing"]
    )
    def test_what_it_depends_on_makes_another(self, tiny: BuiltModel, tmp_path: Path, change: str) -> None:
        config, dataset, prepared = tiny.config, tiny.dataset, tiny.prepared["photo"]
        section = config.inputs["photo"]
        match change:
            case "seed":
                config = config.model_copy(update={"seed": 5})
            case "metric":
                dataset = replace(dataset, targets=alone(CLASSES, "log_loss"))
            case "epochs":
                config = with_input(config, "photo", fit=section.fit.model_copy(update={"epochs": 1}))
            case "encoder":
                config = with_input(config, "photo", encoder=section.encoder.model_copy(update={"width": 4}))
            case "augment":
                augment = section.augment.model_copy(update={"flip": True})
                config = with_input(config, "photo", augment=augment)
            case "preprocessing":
                prepared = replace(prepared, fingerprint="other")
            case _:
                samples = pd.read_parquet(dataset.samples)
                if change == "labels":
                    samples.loc[0, "target.label"] = samples.loc[1, "target.label"]
                else:
                    samples.loc[0, "photo.digest"] = samples.loc[1, "photo.digest"]
                samples.to_parquet(tmp_path / "samples.parquet")
                dataset = replace(dataset, samples=str(tmp_path / "samples.parquet"))
        steps = fit(dataset, prepared, config, tmp_path)
        next(steps)
        (folder,) = (path.name for path in tmp_path.iterdir() if path.is_dir())
        steps.close()
        assert not (trainings(tiny) / folder).exists()

    def test_ids_and_other_inputs_do_not(self, tiny: BuiltModel, tmp_path: Path, run_to_end: End) -> None:
        samples = pd.read_parquet(tiny.dataset.samples)
        samples["id"] = [f"other-{row}" for row in range(len(samples))]
        samples["note.digest"] = "x"
        samples.to_parquet(tmp_path / "samples.parquet")
        dataset = replace(tiny.dataset, samples=str(tmp_path / "samples.parquet"))
        again = run_to_end(fit(dataset, tiny.prepared["photo"], tiny.config, trainings(tiny)))
        assert again == tiny.singles["photo"]

    def test_an_input_that_validation_lacks_is_told(
        self, tiny: BuiltModel, tmp_path: Path, run_to_end: End
    ) -> None:
        samples = pd.read_parquet(tiny.dataset.samples)
        samples.loc[samples["split"] == "val", "photo.digest"] = None
        samples.to_parquet(tmp_path / "samples.parquet")
        dataset = replace(tiny.dataset, samples=str(tmp_path / "samples.parquet"))
        with pytest.raises(DataError, match=r"inputs.photo: missing in every val row of .*rows.csv"):
            run_to_end(fit(dataset, tiny.prepared["photo"], tiny.config, tmp_path))


class TestProbe:
    def test_it_is_fitted_once(self, tiny: BuiltModel, tmp_path: Path) -> None:
        first = probe(tiny.dataset, tiny.features["note"], tiny.config, tmp_path)
        written = Path(first.head).stat().st_mtime_ns
        assert probe(tiny.dataset, tiny.features["note"], tiny.config, tmp_path) == first
        assert Path(first.head).stat().st_mtime_ns == written
        assert first.training is None

    def test_it_tells_the_classes_apart(self, tiny: BuiltModel, tmp_path: Path) -> None:
        single = probe(tiny.dataset, tiny.features["note"], tiny.config, tmp_path)
        samples = open_samples_table(tiny.dataset).rows(["note"])
        samples = samples[(samples["split"] == "test") & samples["note.digest"].notna()]
        head = read_tensors(Path(single.head), single.prefix)
        vectors = load_embeddings(samples, "note", tiny.features["note"])
        predicted = (vectors @ head["weight"].T + head["bias"]).argmax(1).numpy()
        assert (predicted == tiny.dataset.targets.encode(samples)["label"].numpy()).mean() > 0.9

    def test_other_preprocessing_with_the_same_encoder_is_another_probe(
        self, tiny: BuiltModel, tmp_path: Path
    ) -> None:
        # the encoder's digest stays as it is; its features do not
        section = tiny.config.inputs["photo"].model_copy(update={"fit_mode": "crop", "size": 12})
        prepared = prepare(tiny.dataset, "photo", section, tmp_path / "canonical", 40)
        weights = tiny.features["photo"].encoder
        features = extract(tiny.dataset, prepared, weights, tiny.config, tmp_path / "features")
        one = probe(tiny.dataset, tiny.features["photo"], tiny.config, tmp_path)
        other = probe(tiny.dataset, features, tiny.config, tmp_path)
        assert one.head != other.head


class TestFuse:
    @pytest.mark.parametrize("name", FUSIONS)
    def test_every_fusion_is_trained_and_replayed(
        self, tiny: BuiltModel, config: Config, tmp_path: Path, run_to_end: End, name: str
    ) -> None:
        options = config(fusion=FUSIONS[name])

        def once() -> Trained:
            return run_to_end(fuse(tiny.dataset, tiny.features, tiny.singles, tiny.unseen, options, tmp_path))

        first = once()
        written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
        assert once() == first
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == written
        assert first.metric > 0.5  # of three classes
        assert first.epochs == (1 if name == "late" else 3)
        tensors = load_file(Path(first.folder) / BEST)
        assert all(torch.isfinite(value).all() for value in tensors.values())

    def test_late_fusion_takes_the_heads_as_they_were_fitted(
        self, tiny: BuiltModel, config: Config, tmp_path: Path, run_to_end: End
    ) -> None:
        options = config(fusion={"name": "late"})
        trained = run_to_end(fuse(tiny.dataset, tiny.features, tiny.singles, tiny.unseen, options, tmp_path))
        tensors = load_file(Path(trained.folder) / BEST)
        for name, single in tiny.singles.items():
            head = read_tensors(Path(single.head), single.prefix)
            torch.testing.assert_close(tensors[f"fusion.heads.{name}.weight"], head["weight"], rtol=0, atol=0)
        subsets, inputs, classes = 8, 3, 3
        assert trained.parameters == subsets * inputs + inputs + subsets * classes
        (epoch,) = read_history(trained.folder)
        assert epoch.val_loss != epoch.train_loss, "one is of rows that were held out, the other is not"

    def test_other_features_are_another_fusion(
        self, tiny: BuiltModel, tmp_path: Path, run_to_end: End
    ) -> None:
        note = tiny.features["note"]
        copy = Features(note.encoder, str(tmp_path / "note-other"), note.rows, 0)
        Path(copy.store).symlink_to(note.store)
        first, other = (
            run_to_end(fuse(tiny.dataset, each, tiny.singles, {}, tiny.config, tmp_path / "t"))
            for each in (tiny.features, {**tiny.features, "note": copy})
        )
        assert first.folder != other.folder

    def test_the_order_of_the_inputs_does_not_matter(
        self, tiny: BuiltModel, tmp_path: Path, run_to_end: End
    ) -> None:
        def backwards(mapping: dict[str, Any]) -> dict[str, Any]:
            return dict(reversed(mapping.items()))

        one = run_to_end(fuse(tiny.dataset, tiny.features, tiny.singles, tiny.unseen, tiny.config, tmp_path))
        config = tiny.config.model_copy(update={"inputs": backwards(tiny.config.inputs)})
        features, singles = backwards(tiny.features), backwards(tiny.singles)
        assert run_to_end(fuse(tiny.dataset, features, singles, tiny.unseen, config, tmp_path)) == one


def made_before(tiny: BuiltModel) -> tuple[Any, ...]:
    """List what a joint training is given of the steps before it."""
    return tiny.dataset, tiny.prepared, tiny.features, tiny.singles


class TestJoint:
    def test_encoders_and_fusion_are_trained_from_nothing_with_hidden_inputs(
        self, tiny: BuiltModel, config: Config, tmp_path: Path, run_to_end: End
    ) -> None:
        dropout = {"rate": 0.5, "start": 0.5}
        options = config(strategy="joint", fusion={**FUSIONS["concat"], "modality_dropout": dropout})
        trained = run_to_end(train_jointly(*made_before(tiny), options, tmp_path))
        history = read_history(trained.folder)
        assert history[-1].train_loss < history[0].train_loss
        encoders = joint_encoders(trained, tiny.prepared, options)
        assert {name: encoder.width for name, encoder in encoders.items()} == dict.fromkeys(tiny.features, 8)
        for name, encoder in encoders.items():
            assert encoder.digest != tiny.features[name].encoder.digest
        assert run_to_end(train_jointly(*made_before(tiny), options, tmp_path)) == trained

    def test_a_last_phase_goes_on_from_the_stages(
        self, tiny: BuiltModel, config: Config, tmp_path: Path, run_to_end: End
    ) -> None:
        options = config(joint_epochs=1, joint_learning_rate=1e-7)
        assert tiny.fused is not None
        start = tiny.fused.training
        trained = run_to_end(train_jointly(*made_before(tiny), options, tmp_path, start))
        assert trained.epochs == 1
        tensors = load_file(Path(trained.folder) / BEST)
        for name, value in load_file(tiny.fused.weights).items():
            # at this rate no weight moves further than a few times 1e-7
            torch.testing.assert_close(tensors[f"fused.{name}"], value, rtol=0, atol=1e-5)
        before = read_tensors(Path(str(tiny.features["photo"].encoder.file)), "encoder.")
        for name, value in before.items():
            if value.is_floating_point() and "running" not in name:
                torch.testing.assert_close(tensors[f"encoders.photo.{name}"], value, rtol=0, atol=1e-5)

    def test_it_can_be_cut_off_and_resumed(
        self, tiny: BuiltModel, config: Config, tmp_path: Path, run_to_end: End
    ) -> None:
        options = config(strategy="joint")
        whole = run_to_end(
            train_jointly(
                tiny.dataset, tiny.prepared, tiny.features, tiny.singles, options, tmp_path / "whole"
            )
        )
        steps = train_jointly(
            tiny.dataset, tiny.prepared, tiny.features, tiny.singles, options, tmp_path / "cut"
        )
        next(steps)
        steps.close()
        resumed = run_to_end(train_jointly(*made_before(tiny), options, tmp_path / "cut"))
        assert resumed.metric == whole.metric
        one, other = load_file(Path(whole.folder) / BEST), load_file(Path(resumed.folder) / BEST)
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=0, atol=0)


def test_the_prior_is_that_of_the_training_rows(tiny: BuiltModel) -> None:
    torch.testing.assert_close(training_prior(tiny.dataset).softmax(0), torch.full((3,), 1 / 3))


def test_references_travel_as_plain_values(tiny: BuiltModel) -> None:
    for reference in (tiny.dataset, *tiny.prepared.values(), *tiny.singles.values(), tiny.fused):
        assert not isinstance(reference, (torch.Tensor, pd.DataFrame))
        assert len(repr(reference)) < 5000
    assert isinstance(tiny.dataset, Dataset)
    assert isinstance(tiny.singles["photo"], Single)
    assert fingerprint(open_preprocessor(tiny.prepared["photo"])) == tiny.prepared["photo"].fingerprint
