"""Learning across inputs on the tiny pipeline: every use, resumed, keyed, and carried by the bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from components.config import PipelineConfig
from components.data.ingest import ingest
from components.data.samples import open_samples_table
from components.errors import DataError, ModelError
from components.models.weights import read_tensors
from components.pipeline.align import PROJECTIONS, align, open_aligned, pretrain
from components.pipeline.extract import extract
from components.pipeline.fit import fit
from components.pipeline.fuse import fuse, fused_model, train_jointly
from components.pipeline.package import package_model
from components.pipeline.preprocess import prepare
from components.references import Dataset, Features, Prepared, Single
from components.retrieval.evaluate import evaluate_retrieval
from components.retrieval.gallery import make_gallery, read_vectors
from components.retrieval.search import Search
from components.training.checkpoint import read_history
from components.training.loop import BEST
from tests.components.conftest import configure, finish, write_manifest

SHORT = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}
ALIGNMENT: dict[str, Any] = {
    "objective": {"name": "clip", "positives": "class"},
    "width": 4,
    "hidden": 8,
    "training": {**SHORT, "epochs": 12},
}
TINY = configure()
TWO = {name: TINY.inputs[name].model_dump(mode="json") for name in ("photo", "note")}


def pipeline(alignment: dict[str, Any] | None = None, **changes: Any) -> PipelineConfig:
    return configure(inputs=TWO, alignment={**ALIGNMENT, **(alignment or {})}, **changes)


class Made:
    """Steps before alignment: canonical samples and features of two inputs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, pipeline()
        write_manifest(folder)
        self.dataset: Dataset = ingest(self.config, folder / "work", folder)
        self.prepared: dict[str, Prepared] = {}
        self.features: dict[str, Features] = {}
        self.singles: dict[str, Single] = {}
        for name, section in self.config.inputs.items():
            self.prepared[name] = prepare(self.dataset, name, section, folder / "canonical", 40)
            single = finish(fit(self.dataset, self.prepared[name], self.config, folder / "trainings"))
            self.singles[name] = single
            self.features[name] = extract(
                self.dataset, self.prepared[name], single.encoder, self.config, folder / "features"
            )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("align"))


@pytest.mark.parametrize("objective", ["clip", "siglip", "positive", "dcca"])
def test_every_objective_is_trained_on_features_and_replayed(
    made: Made, tmp_path: Path, objective: str
) -> None:
    config = pipeline({"objective": {"name": objective}})
    trained = finish(align(made.dataset, made.features, config, tmp_path))
    written = (Path(trained.folder) / PROJECTIONS).stat().st_mtime_ns
    assert finish(align(made.dataset, made.features, config, tmp_path)) == trained
    assert (Path(trained.folder) / PROJECTIONS).stat().st_mtime_ns == written
    network = open_aligned(trained, made.features, config)
    samples = open_samples_table(made.dataset).rows(list(made.features))
    assert all(value.isfinite().all() for value in network.state_dict().values())
    assert made.dataset.rows == len(samples)
    same = load_file(Path(trained.folder) / BEST)["heads.note.1.weight"]
    torch.testing.assert_close(network.state_dict()["heads.note.1.weight"], same, rtol=0, atol=0)
    turned = load_file(Path(trained.folder) / BEST)["heads.note.3.weight"]
    assert torch.equal(network.state_dict()["heads.note.3.weight"], turned) == (objective != "dcca")


def test_an_interrupted_alignment_ends_in_the_same_weights(made: Made, tmp_path: Path) -> None:
    whole = finish(align(made.dataset, made.features, made.config, tmp_path / "whole"))
    steps = align(made.dataset, made.features, made.config, tmp_path / "cut")
    next(steps)
    steps.close()
    resumed = finish(align(made.dataset, made.features, made.config, tmp_path / "cut"))
    one, other = (load_file(Path(trained.folder) / PROJECTIONS) for trained in (whole, resumed))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"width": 5}, False),
        ({"objective": {"name": "clip"}}, False),
        ({"training": SHORT}, False),
        ({"gallery": 3}, True),
    ],
)
def test_it_is_keyed_by_what_it_depends_on(
    made: Made, tmp_path: Path, change: dict[str, Any], same: bool
) -> None:
    one = finish(align(made.dataset, made.features, made.config, made.folder / "aligned"))
    other = finish(align(made.dataset, made.features, pipeline(change), tmp_path))
    assert (Path(one.folder).name == Path(other.folder).name) == same


def test_search_and_its_judgement_beat_chance(made: Made) -> None:
    trained = finish(align(made.dataset, made.features, made.config, made.folder / "aligned"))
    network = open_aligned(trained, made.features, made.config)
    retrieval = evaluate_retrieval(made.dataset, made.features, network, made.config)
    assert {each.name for each in retrieval.each} == {
        f"{way}{right}" for way in ("photo_to_note", "note_to_photo") for right in ("", "_class")
    }
    by_class = {each.name: each for each in retrieval.each if each.right == "class"}
    for each in by_class.values():  # 24 test rows, of which the photo is missing in 3 and the note in 3
        assert (each.queries, each.rows) == (21, 21)
        assert each.chance["recall_1"] == pytest.approx(1 / 3, abs=0.05)
        assert each.metrics["mean_average_precision"].value > each.chance["mean_average_precision"]
    assert by_class["note_to_photo_class"].metrics["recall_1"].value > 0.6


def test_the_gallery_holds_training_rows_and_no_vector_where_an_input_is_absent(
    made: Made, tmp_path: Path
) -> None:
    trained = finish(align(made.dataset, made.features, made.config, made.folder / "aligned"))
    network = open_aligned(trained, made.features, made.config)
    table = make_gallery(made.dataset, made.features, network, made.config).to_pandas()
    samples = open_samples_table(made.dataset).rows(["photo", "note"], values=True)
    train = samples[samples["split"] == "train"].reset_index(drop=True)
    assert table["id"].tolist() == train["id"].tolist()
    assert table["target.label"].tolist() == train["target.label"].tolist()
    assert table["note.shown"].dropna().tolist() == train["note.text"].dropna().tolist()
    assert (table["photo.vector"].isna() == train["photo.digest"].isna()).all()
    few = make_gallery(made.dataset, made.features, network, pipeline({"gallery": 10}))
    assert few.num_rows == 10
    pq.write_table(few, tmp_path / "gallery.parquet")
    vectors, rows = read_vectors(tmp_path / "gallery.parquet", "photo")
    assert len(vectors) == len(rows) <= 10
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)  # float32


def test_fits_go_on_from_aligned_encoders(made: Made, tmp_path: Path) -> None:
    config = pipeline({"use": "pretraining", "training": SHORT})
    pretrained = finish(pretrain(made.dataset, made.prepared, config, tmp_path))
    assert pretrained.epochs == 2
    slow = configure(
        inputs={**TWO, "photo": {**TWO["photo"], "fit": {**SHORT, "epochs": 1, "learning_rate": 1e-7}}}
    )
    before = read_tensors(Path(pretrained.folder) / BEST, "encoders.photo.")
    single = finish(fit(made.dataset, made.prepared["photo"], slow, tmp_path, pretrained))
    after = read_tensors(Path(str(single.encoder.file)), "encoder.")
    for name, value in before.items():  # at this rate no weight moves further than a few times 1e-7
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-5)
    alone = finish(fit(made.dataset, made.prepared["photo"], slow, tmp_path))
    assert alone.encoder.file != single.encoder.file


def test_beside_the_fusion_it_changes_what_encoders_learn_and_keeps_their_form(
    made: Made, tmp_path: Path
) -> None:
    joint = {"strategy": "joint", "training": SHORT, "fusion": {"name": "concat", "width": 8}}
    auxiliary = pipeline({"use": "auxiliary", "weight": 1.0}, **joint)
    plain = pipeline({"use": "features"}, **joint)
    before = (made.dataset, made.prepared, made.features, made.singles)
    one = finish(train_jointly(*before, auxiliary, tmp_path))
    other = finish(train_jointly(*before, plain, tmp_path))
    tensors, without = (load_file(Path(trained.folder) / BEST) for trained in (one, other))
    assert set(tensors) == set(without), "projections stay with the objective"
    learned = [name for name in tensors if name.startswith("encoders.")]
    assert not any(torch.equal(tensors[name], without[name]) for name in learned)
    first, second = (read_history(trained.folder)[0] for trained in (one, other))
    assert first.train_loss > second.train_loss + 1  # three classes: an alignment at chance is above 1
    assert finish(train_jointly(*before, auxiliary, tmp_path)) == one


def test_rows_of_one_input_alone_cannot_be_aligned(made: Made, tmp_path: Path) -> None:
    samples = pd.read_parquet(made.dataset.samples)
    samples.loc[samples["split"] == "val", "photo.digest"] = None
    samples.to_parquet(tmp_path / "samples.parquet")
    dataset = replace(made.dataset, samples=str(tmp_path / "samples.parquet"))
    with pytest.raises(DataError, match=r"alignment: no val row of .*rows.csv has two of photo, note"):
        finish(align(dataset, made.features, made.config, tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": {"photo": TWO["photo"]}}, "there is one input and nothing to align it with"),
        ({"target": {"task": "regression"}}, "needs a target of classes"),
        ({"alignment": {"use": "auxiliary"}}, "Set joint_epochs or strategy: joint"),
        (
            {
                "inputs": {
                    name: {**TWO[name], "encoder": {"name": "pretrained", "model": "org/name"}}
                    for name in TWO
                },
                "alignment": {"use": "pretraining"},
            },
            "every encoder is pretrained already",
        ),
    ],
)
def test_an_alignment_that_would_do_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        configure(**{"inputs": TWO, "alignment": ALIGNMENT, **changes})


@pytest.fixture(scope="module")
def delivered(made: Made) -> Callable[[bool], Path]:
    """Makes a bundle, with projections or without."""
    fusion = {"fusion": {"name": "concat", "width": 8}, "training": SHORT}
    singles = {
        name: finish(fit(made.dataset, made.prepared[name], made.config, made.folder / "trainings"))
        for name in TWO
    }
    trained = finish(
        fuse(made.dataset, made.features, singles, {}, configure(inputs=TWO, **fusion), made.folder)
    )
    fused = fused_model(trained, made.features)

    def deliver_it(searchable: bool) -> Path:
        config = pipeline(**fusion) if searchable else configure(inputs=TWO, **fusion)
        aligned = None
        if searchable:
            aligned = finish(align(made.dataset, made.features, config, made.folder / "aligned"))
        bundle = made.folder / f"bundle-{searchable}"
        package_model(
            made.dataset, made.prepared, singles, made.features, {}, fused, (), (), config, bundle, aligned
        )
        return bundle

    return deliver_it


def test_a_model_without_projections_says_what_to_do(delivered: Callable[[bool], Path]) -> None:
    with pytest.raises(ModelError, match="model 'tiny' cannot be searched: its pipeline has no alignment"):
        Search(delivered(False), "cpu")


def test_a_bundle_is_searched_by_text_and_by_file(
    made: Made, delivered: Callable[[bool], Path], tmp_path: Path
) -> None:
    search = Search(delivered(True), "cpu")
    hits = search.find("soft hunter by night", "note", "photo", 6)
    assert sum(hit.targets["label"] == "cat" for hit in hits) >= 4
    assert all(Path(hit.shown).exists() for hit in hits)
    table = str(made.folder / "rows.csv")
    others = search.find("soft hunter by night", "note", "photo", 3, table)
    assert [hit.similarity for hit in others] == sorted((hit.similarity for hit in others), reverse=True)
    back = search.find(others[0].shown, "photo", "note", 200, table)
    assert len(back) == 96 - 12, "every eighth row has no note"

    with pytest.raises(ModelError, match=r"--from sound: not an input of the model; it has: note, photo"):
        search.find("x", "sound", "photo", 3)
    with pytest.raises(DataError, match=r"photo: .*lost.png"):
        search.find("lost.png", "photo", "note", 3)
    with pytest.raises(DataError, match="there is nothing in it"):
        search.find(" ", "note", "photo", 3)
    (tmp_path / "notes.csv").write_text("id,note\n1,soft\n")
    with pytest.raises(DataError, match=r"has none of the model's columns photo \(has: id, note\)"):
        search.find("soft", "note", "photo", 3, str(tmp_path / "notes.csv"))
    (tmp_path / "torn.csv").write_text("id,photo\n1,\n2,torn.png\n")
    (tmp_path / "torn.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"torn.csv: row 1, photo: .*torn.png: .*Mend or empty the cell"):
        search.find("soft", "note", "photo", 3, str(tmp_path / "torn.csv"))


def test_a_table_that_is_searched_may_not_name_files_outside_of_its_folder(
    made: Made, delivered: Callable[[bool], Path], tmp_path: Path
) -> None:
    outside = next((made.folder / "photos").iterdir())
    (tmp_path / "rows.csv").write_text(f"id,photo\n1,{outside}\n")
    with pytest.raises(DataError, match=r"row 0, photo: .*outside"):
        Search(delivered(True), "cpu").find("soft", "note", "photo", 3, str(tmp_path / "rows.csv"))
