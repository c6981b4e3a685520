"""A teacher's predictions for rows, and students that learn from them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from components.config.distill import ObjectiveConfig
from components.data.samples import learning_rows, open_samples_table
from components.distillation.setup import DistillationSetup
from components.distillation.teacher import open_predictions, row_keys, teach
from components.errors import ModelError
from components.inference.bundle import load_bundle
from components.pipeline.fit import fit
from components.pipeline.package import open_split
from components.references import TeacherPredictions
from components.storage.shards import ShardStore
from components.targets import Targets
from tests.components.conftest import BuiltModel

End = Callable[[Generator[Any, None, Any]], Any]
ALL = ObjectiveConfig.model_validate(
    {"feature": 0.5, "relational": {"distance": 0.5, "angle": 0.5}, "alignment": 0.5}
)


@pytest.fixture(scope="module")
def teacher(tiny: BuiltModel, tmp_path_factory: pytest.TempPathFactory) -> TeacherPredictions:
    return teach(tiny.dataset, tiny.config, tiny.bundle, tmp_path_factory.mktemp("teachers"))


def test_a_teacher_says_what_its_bundle_predicts(tiny: BuiltModel, teacher: TeacherPredictions) -> None:
    test = open_split(tiny.dataset, "test", tiny.features, tiny.fused)
    embeddings = test.embeddings
    model = load_bundle(tiny.bundle).delivered
    target = tiny.dataset.targets.primary
    natural, vectors, _ = open_predictions(tiny.dataset, test.samples, teacher)
    # read from the files again and stored as float32
    expected = model.predict(target, embeddings, model.inputs)
    torch.testing.assert_close(target.predict(natural.double()), expected, rtol=1e-3, atol=1e-4)
    assert model.fused is not None
    fused = model.fused.vector(embeddings.fusion, embeddings.present)
    torch.testing.assert_close(vectors, fused, rtol=1e-3, atol=1e-4)


def test_it_is_asked_once_for_each_row(tiny: BuiltModel, teacher: TeacherPredictions) -> None:
    again = teach(tiny.dataset, tiny.config, tiny.bundle, Path(teacher.store).parent)
    assert again == replace(teacher, answered=0)
    assert 0 < teacher.answered <= tiny.dataset.rows


def test_a_teacher_of_other_classes_is_refused(tiny: BuiltModel, tmp_path: Path) -> None:
    target = replace(tiny.dataset.targets.primary, classes=("ant", "bee"))
    dataset = replace(tiny.dataset, targets=Targets((target,)))
    with pytest.raises(ModelError, match="Run the pipeline again"):
        teach(dataset, tiny.config, tiny.bundle, tmp_path)


def silent(teacher: TeacherPredictions, built: BuiltModel, folder: Path) -> TeacherPredictions:
    """The same teacher, without an answer to any row."""
    samples = open_samples_table(built.dataset).rows(teacher.inputs)
    keys = list(dict.fromkeys(row_keys(samples, teacher.inputs)))
    nothing = np.full(teacher.width + teacher.embedding, np.nan, np.float32)
    ShardStore(folder, "parquet").append(keys, [nothing] * len(keys))
    return replace(teacher, store=str(folder))


def test_alone_and_taught_differ_in_nothing_but_the_teacher(
    tiny: BuiltModel, teacher: TeacherPredictions, tmp_path: Path, run_to_end: End
) -> None:
    # initial weights, order of rows, dropout and augmentation: all of it ends in the same weights
    photo = tiny.prepared["photo"]
    quiet = DistillationSetup(silent(teacher, tiny, tmp_path / "silent"), ALL)
    alone, unhelped, helped = (
        load_file(run_to_end(fit(tiny.dataset, photo, tiny.config, tmp_path, distillation=distillation)).head)
        for distillation in (None, quiet, DistillationSetup(teacher, ALL))
    )
    for name, value in alone.items():
        torch.testing.assert_close(unhelped[name], value, rtol=0, atol=0)
    assert any(not torch.equal(helped[name], value) for name, value in alone.items())


def test_another_objective_is_another_training_and_the_same_one_is_replayed(
    tiny: BuiltModel, teacher: TeacherPredictions, tmp_path: Path, run_to_end: End
) -> None:
    def folder(distillation: DistillationSetup | None) -> str:
        single = run_to_end(
            fit(tiny.dataset, tiny.prepared["facts"], tiny.config, tmp_path, distillation=distillation)
        )
        return single.training.folder

    soft = DistillationSetup(teacher, ObjectiveConfig())
    folders = [folder(distillation) for distillation in (None, soft, DistillationSetup(teacher, ALL), soft)]
    assert len(set(folders)) == 3
    assert folders[1] == folders[3]


def test_predictions_follow_its_rows_by_id(tiny: BuiltModel, teacher: TeacherPredictions) -> None:
    samples = learning_rows(tiny.dataset, ["note"])
    backwards = samples.iloc[::-1]
    natural, _, keys = open_predictions(tiny.dataset, samples, teacher)
    turned, _, turned_keys = open_predictions(tiny.dataset, backwards, teacher)
    torch.testing.assert_close(turned.flip(0), natural, rtol=0, atol=0)
    assert turned_keys == keys[::-1]
    assert len(open_samples_table(tiny.dataset).rows()) > len(samples)
