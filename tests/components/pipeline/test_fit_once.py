"""Fits without gradient in a pipeline: done once, out of fold, in the bundle; refused where they must be."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from components.config import PipelineConfig
from components.data.samples import load_embeddings, open_samples_table
from components.inference.predictor import Predictor
from components.pipeline.fit import fit
from components.pipeline.run import BuiltModel, build_model
from components.references import Single
from components.training.checkpoint import read_history
from components.training.folds import Fold
from tests.components.conftest import configure

End = Callable[[Generator[Any, None, Any]], Any]
SECTIONS: dict[str, dict[str, Any]] = {
    "note": {
        "modality": "text",
        "columns": "note",
        "encoder": {"name": "tfidf", "buckets": 4096, "components": 4},
    },
    "facts": {"modality": "tabular", "columns": ["age", "city"], "encoder": {"name": "trees"}},
    "more_facts": {"modality": "tabular", "columns": ["city", "age"], "encoder": {"name": "linear"}},
}


def fitted(sections: dict[str, dict[str, Any]] = SECTIONS, **changes: Any) -> PipelineConfig:
    """The tiny pipeline, with inputs of these sections beside the photo."""
    photo = configure().inputs["photo"].model_dump(mode="json")
    return configure(**{"inputs": {"photo": photo, **sections}, "fusion": {"name": "late"}, **changes})


def without_scale(choice: dict[str, Any]) -> dict[str, Any]:
    """Leave out the scale of outputs, which a fit without a fold finds for itself."""
    rest = {key: value for key, value in choice.items() if key not in ("scales", "targets")}
    targets = choice.get("targets", ())
    return {**rest, "targets": [{**each, "scale": None} for each in targets]}


@pytest.fixture(scope="module")
def built(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    """The tiny pipeline with encoders that need no gradient."""
    return build_model(fitted(), tmp_path_factory.mktemp("fitted"), tiny_data)


every_input = pytest.mark.parametrize("name", SECTIONS)


def trainings(built: BuiltModel) -> Path:
    return built.folder / "cache" / "trainings"


@every_input
class TestFit:
    def test_the_second_time_replays(self, built: BuiltModel, name: str, run_to_end: End) -> None:
        weights = Path(built.singles[name].head)
        written = weights.stat().st_mtime_ns
        again = run_to_end(fit(built.dataset, built.prepared[name], built.config, trainings(built)))
        assert again == built.singles[name]
        assert weights.stat().st_mtime_ns == written
        (epoch,) = read_history(weights.parent)
        assert epoch.metric == again.training.metric > 0.5
        assert epoch.seconds > 0

    def test_damaged_weights_are_made_again(
        self, built: BuiltModel, name: str, tmp_path: Path, run_to_end: End
    ) -> None:
        first = run_to_end(fit(built.dataset, built.prepared[name], built.config, tmp_path))
        content = Path(first.head).read_bytes()
        Path(first.head).write_bytes(content[:-8])
        assert run_to_end(fit(built.dataset, built.prepared[name], built.config, tmp_path)) == first
        assert Path(first.head).read_bytes() == content

    @pytest.mark.parametrize("change", ["seed", "weights", "labels", "content", "preprocessing", "fold"])
    def test_what_it_depends_on_makes_another(
        self, built: BuiltModel, name: str, tmp_path: Path, change: str, run_to_end: End
    ) -> None:
        config, dataset, prepared = built.config, built.dataset, built.prepared[name]
        fold = None
        match change:
            case "seed":
                config = config.model_copy(update={"seed": 5})
            case "weights":
                sections = {**SECTIONS, name: {**SECTIONS[name], "fit": {"class_weights": "balanced"}}}
                config = fitted(sections)
            case "preprocessing":
                prepared = replace(prepared, fingerprint="other")
            case "fold":
                fold = Fold(0, 3)
            case _:
                samples = pd.read_parquet(dataset.samples)
                column = "target.label" if change == "labels" else f"{name}.digest"
                samples.loc[0, column] = samples.loc[1, column]
                samples.to_parquet(tmp_path / "samples.parquet")
                dataset = replace(dataset, samples=str(tmp_path / "samples.parquet"))
        single = run_to_end(fit(dataset, prepared, config, tmp_path, fold=fold))
        assert not (trainings(built) / Path(single.head).parent.name).exists()

    def test_epochs_of_which_it_has_none_change_nothing(
        self, built: BuiltModel, name: str, run_to_end: End
    ) -> None:
        config = fitted({**SECTIONS, name: {**SECTIONS[name], "fit": {"epochs": 7}}})
        again = run_to_end(fit(built.dataset, built.prepared[name], config, trainings(built)))
        assert again == built.singles[name]

    def test_without_a_fold_it_keeps_what_the_whole_fit_chose(
        self, built: BuiltModel, name: str, tmp_path: Path, run_to_end: End
    ) -> None:
        whole = built.singles[name]
        steps = fit(built.dataset, built.prepared[name], built.config, tmp_path, fold=Fold(0, 2), whole=whole)
        single: Single = run_to_end(steps)
        chosen = [json.loads((Path(each.head).parent / "done.json").read_text()) for each in (whole, single)]
        choices = [without_scale(each["choice"]) for each in chosen]
        assert choices[0] == choices[1]
        assert single.encoder.digest != whole.encoder.digest

    def test_a_bundle_embeds_as_the_cached_features_are(
        self, built: BuiltModel, name: str, tiny_data: Path
    ) -> None:
        samples = open_samples_table(built.dataset).split("test", list(built.features))
        samples = samples[samples[f"{name}.digest"].notna()]
        cells = pd.read_csv(tiny_data / "rows.csv", index_col="id").loc[samples["id"]].to_dict("records")
        predictor = Predictor(built.bundle, "cpu")
        canonical = predictor.read_input(name, cells)
        embedded = predictor.embed_input(name, canonical.arrays, len(cells)).single
        expected = load_embeddings(samples, name, built.features[name])
        torch.testing.assert_close(embedded, expected, rtol=1e-4, atol=1e-5)


def test_out_of_fold_predictions_are_of_fits_that_do_not_know_the_row(built: BuiltModel) -> None:
    """A fit knows the labels of its training rows by heart; out of fold it does not."""
    values = built.selection.values["label"]
    predicted = built.selection.predicted.single
    for name in SECTIONS:
        natural = predicted[name]
        table = open_samples_table(built.dataset).split("train", list(built.features))
        known = torch.from_numpy(table[f"{name}.digest"].notna().to_numpy(copy=True))
        assert torch.isfinite(natural[known]).all()
        assert float((natural[known].argmax(1) == values[known]).double().mean()) > 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "joint"}, "inputs.note.encoder: tfidf is fitted without gradient, and strategy: joint"),
        ({"joint_epochs": 2, "fusion": {"name": "gated"}}, "joint_epochs trains encoders by gradient"),
    ],
)
def test_joint_training_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        fitted(**changes)


@pytest.mark.parametrize("option", [{"augment": {"token_dropout": 0.1}}, {"fit": {"label_smoothing": 0.1}}])
def test_what_a_fit_without_gradient_does_not_do_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="encoder tfidf"):
        fitted({"note": {**SECTIONS["note"], **option}})
