"""Cross-fitting: nothing learns from what its parts have memorised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.data.samples import learning_rows, open_samples_table
from components.pipeline.folds import encoder_rows, fusion_rows, number_of_folds, rows_of_fold
from components.pipeline.run import BuiltModel, build_model
from components.training.folds import Fold
from tests.components.conftest import configure


@pytest.mark.parametrize("name", ["photo", "note", "facts"])
def test_no_fit_of_a_fold_learns_from_a_content_of_the_fold(tiny: BuiltModel, name: str) -> None:
    """Every content of a training row is left out by one fit, and is unknown to all rows of that fit."""
    whole = learning_rows(tiny.dataset, [name])
    contents = set(whole.loc[whole["split"] == "train", f"{name}.digest"])
    left_out = []
    for number in range(2):
        learned = encoder_rows(tiny.dataset, name, tiny.config, Fold(number, 2))
        seen = set(learned.loc[learned["split"] == "train", f"{name}.digest"])
        left_out.append(contents - seen)
        assert (learned["split"] == "val").sum() == (whole["split"] == "val").sum()
    assert left_out[0] | left_out[1] == contents
    assert not left_out[0] & left_out[1]


def test_a_row_is_chosen_by_what_fits_say_that_have_not_seen_it(tiny: BuiltModel) -> None:
    """A head of a fit of all rows knows its training rows; out of fold it does not."""
    samples = open_samples_table(tiny.dataset).split("train", list(tiny.features))
    assert len(tiny.selection.predicted.present) == len(samples)
    values = tiny.selection.values["label"]
    own = tiny.selection.predicted.single["note"]
    assert torch.isfinite(own).all()
    assert (own.argmax(1) == values).double().mean() > 0.5, "they are predictions of these rows"


def test_without_folds_a_trained_fusion_has_rows_that_no_encoder_learns_from(tiny: BuiltModel) -> None:
    config = configure(training={"epochs": 3, "folds": 0})
    assert number_of_folds(config, tiny.dataset) == 0
    fusion = fusion_rows(tiny.dataset, config, None)
    train = set(fusion.index[fusion["split"] == "train"])
    assert train
    for name in config.inputs:
        learned = encoder_rows(tiny.dataset, name, config, None)
        assert not train & set(learned.index[learned["split"] == "train"])
    late = configure(fusion={"name": "late"}, training={"epochs": 3, "folds": 0})
    assert len(encoder_rows(tiny.dataset, "note", late, None)) == len(learning_rows(tiny.dataset, ["note"]))


def test_folds_follow_from_the_number_of_rows_and_from_what_is_trained(tiny: BuiltModel) -> None:
    by_itself = configure(training={"epochs": 3})
    assert number_of_folds(by_itself, tiny.dataset) == 5

    def folds(quality: str, rows: int) -> int:
        config = by_itself.model_copy(update={"quality": quality})
        return number_of_folds(config, replace(tiny.dataset, splits={"train": rows}))

    assert [folds("fast", rows) for rows in (200, 20_000, 20_001)] == [3, 3, 0]
    assert [folds("good", rows) for rows in (2_000, 2_001, 20_001)] == [5, 3, 0]
    assert [folds("best", rows) for rows in (20_000, 100_000, 100_001)] == [5, 3, 0]
    assert number_of_folds(by_itself.model_copy(update={"strategy": "joint"}), tiny.dataset) == 0
    one = by_itself.model_copy(update={"inputs": {"note": by_itself.inputs["note"]}})
    assert number_of_folds(one, tiny.dataset) == 0


def test_the_folds_of_the_fusion_divide_the_training_rows(tiny: BuiltModel) -> None:
    names = list(tiny.config.inputs)
    parts = [set(rows_of_fold(tiny.dataset, names, Fold(number, 2)).index) for number in range(2)]
    samples = learning_rows(tiny.dataset, names)
    assert parts[0] | parts[1] == set(samples.index[samples["split"] == "train"])
    assert not parts[0] & parts[1]


def test_labels_without_a_pattern_are_predicted_by_chance_out_of_fold(
    tiny_data: Path, tmp_path: Path
) -> None:
    """The text names its row, so a fit can learn any labels by heart; who chooses has to see that it did."""
    data = tmp_path / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    lines = ["id,split,label,note,age,city"]
    for number in range(180):
        split = "train" if number < 120 else "val" if number < 150 else "test"
        lines.append(f"r{number},{split},{rng.choice(['a', 'b'])},word{number},{rng.normal():.4f},Bonn")
    (data / "rows.csv").write_text("\n".join(lines))
    tiny = configure()
    inputs = {name: tiny.inputs[name] for name in ("note", "facts")}
    built = build_model(tiny.model_copy(update={"inputs": inputs}), tmp_path / "built", data)
    values = built.selection.values["label"].numpy()
    for name in ("note", "facts"):
        right = (built.selection.predicted.single[name].argmax(1).numpy() == values).mean()
        assert 0.3 < right < 0.7, f"{name} knows its rows"
