"""A cross-fitted teacher, rows without a target, and what is to be expected of the two."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from components.config import PipelineConfig
from components.config.distill import ObjectiveConfig
from components.data.samples import open_samples_table, transfer_rows
from components.distillation.expectation import Expectation, expectations
from components.distillation.setup import DistillationSetup
from components.distillation.teacher import open_predictions, teach
from components.inference.bundle import load_bundle
from components.inference.learned_rows import learned_rows, name_key
from components.inference.out_of_fold import read_out_of_fold, row_contents
from components.pipeline.fit import fit
from components.pipeline.run import BuiltModel, build_model
from components.references import TeacherPredictions

End = Callable[[Generator[Any, None, Any]], Any]
FIT = {"epochs": 40, "batch_size": 32, "learning_rate": 0.02, "patience": None}
ENCODER = {"name": "mlp", "width": 32, "hidden": [64]}


def table(rows: int = 240, labelled: int = 120) -> pd.DataFrame:
    """Two noisy views of a class; half of the rows have no target."""
    rng = np.random.default_rng(0)
    ill = rng.random(rows) < 0.5
    frame = pd.DataFrame({"id": [f"v{row}" for row in range(rows)], "ill": ill.astype(int).astype(str)})
    for name in "xz":
        for number in range(4):
            frame[f"{name}{number}"] = rng.normal(ill * 0.8, 1)
    frame.loc[rng.permutation(rows)[: rows - labelled], "ill"] = ""
    return frame


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltModel:
    folder = tmp_path_factory.mktemp("unlabelled")
    table().to_csv(folder / "visits.csv", index=False)
    config = PipelineConfig.model_validate(
        {
            "name": "visits",
            "data": {"source": "visits.csv"},
            "target": {"task": "classification", "column": "ill"},
            "inputs": {
                name: {
                    "modality": "tabular",
                    "columns": [f"{name}{number}" for number in range(4)],
                    "encoder": ENCODER,
                    "fit": FIT,
                }
                for name in "xz"
            },
            "training": {"folds": 4},
            "evaluation": {"bootstrap": 100},
            "engine": {"device": "cpu"},
        }
    )
    return build_model(config, folder, folder)


@pytest.fixture(scope="module")
def teacher(built: BuiltModel, tmp_path_factory: pytest.TempPathFactory) -> TeacherPredictions:
    return teach(built.dataset, built.config, built.bundle, tmp_path_factory.mktemp("teachers"))


def test_training_rows_get_predictions_that_are_out_of_fold(
    built: BuiltModel, teacher: TeacherPredictions
) -> None:
    samples = open_samples_table(built.dataset).rows(["x", "z"])
    train = samples[samples["split"] == "train"]
    target = built.dataset.targets.primary
    natural, _, _ = open_predictions(built.dataset, train, teacher)
    expected = load_bundle(built.bundle).delivered.predict(target, built.selection.predicted, ["x", "z"])
    assert built.selection.samples["id"].tolist() == train["id"].tolist()
    torch.testing.assert_close(target.predict(natural.double()), expected, rtol=1e-3, atol=1e-4)
    assert (teacher.training, teacher.out_of_fold) == (len(train), len(train))


def test_it_is_no_surer_of_training_rows_than_of_others(
    built: BuiltModel, teacher: TeacherPredictions
) -> None:
    samples = open_samples_table(built.dataset).rows(["x", "z"])
    target = built.dataset.targets.primary
    sure = {}
    for split in ("train", "unlabelled"):
        natural, _, _ = open_predictions(built.dataset, samples[samples["split"] == split], teacher)
        sure[split] = float(target.predict(natural.double()).max(1).values.mean())
    assert sure["train"] == pytest.approx(sure["unlabelled"], abs=0.05)


def test_a_student_trains_on_rows_without_a_target_and_one_alone_does_not(
    built: BuiltModel, teacher: TeacherPredictions, tmp_path: Path, run_to_end: End
) -> None:
    prepared, objective = built.prepared["x"], ObjectiveConfig()
    setup = DistillationSetup(teacher, objective)
    alone = run_to_end(fit(built.dataset, prepared, built.config, tmp_path))
    taught = run_to_end(fit(built.dataset, prepared, built.config, tmp_path, distillation=setup))
    assert alone.training.folder != taught.training.folder
    spare = transfer_rows(built.dataset, ["x"])
    assert len(spare) == built.dataset.splits["unlabelled"] == 120
    assert set(spare["split"]) == {"train"}
    assert (built.dataset.targets.encode(spare)["ill"] == -1).all()


def test_a_taught_model_remembers_the_rows_without_a_target(built: BuiltModel) -> None:
    (spare, *_) = transfer_rows(built.dataset, ["x"])["id"]
    key = np.array([name_key(spare)], np.uint64)
    for unlabelled in (False, True):
        learned = learned_rows(built.dataset, built.config, unlabelled)
        assert learned.ids is not None
        assert learned.ids.holds(key).tolist() == [unlabelled]


def test_the_expectation_is_that_of_its_formula(built: BuiltModel) -> None:
    (expected,) = expectations(built.dataset, built.bundle, {"hint": ["x"]})
    carried = read_out_of_fold(built.bundle)
    assert carried is not None
    samples = built.selection.samples
    rows, lines = carried.find(row_contents(samples, ["x", "z"]))
    assert rows.tolist() == list(range(len(samples)))
    own, all_inputs = (carried.predictions("ill", inputs, lines) for inputs in (["x"], ["x", "z"]))
    assert own is not None
    assert all_inputs is not None
    label = np.eye(2)[built.dataset.targets.encode(samples)["ill"].numpy()]
    label_noise, teacher_noise = (np.square(t - own).sum(1).mean() for t in (label, all_inputs))
    assert (expected.label_noise, expected.teacher_noise) == pytest.approx((label_noise, teacher_noise))
    assert (expected.labels, expected.unlabelled) == (len(samples), 120)
    assert expected.worth == pytest.approx((len(samples) + 120) / len(samples) * label_noise / teacher_noise)
    assert expected.teacher_noise < expected.label_noise, "a teacher's predictions are less noisy than labels"
    assert expected.verdict == "yes"


def test_a_perfect_teacher_by_other_inputs_says_what_the_label_says() -> None:
    same = Expectation("s", rows=100, labels=500, unlabelled=0, label_noise=0.5, teacher_noise=0.5)
    assert (same.worth, same.verdict) == (1.0, "no")
    more = Expectation("s", rows=100, labels=500, unlabelled=2500, label_noise=0.5, teacher_noise=0.4)
    assert (more.worth, more.verdict) == (pytest.approx(7.5), "yes")
    assert "worth 7.5 times the 500 labels" in more.sentence
