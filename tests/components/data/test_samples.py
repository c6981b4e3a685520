"""Reads of the samples table by steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from components.config.inputs import ImageInput, TabularInput, TextInput
from components.data.samples import (
    SampleRows,
    TrainingColumns,
    input_value,
    learning_rows,
    load_embeddings,
    media_paths,
    open_samples_table,
    presence,
    rows_digest,
)
from tests.components.conftest import CLASSES, BuiltModel


def test_only_what_is_asked_for_is_read(tiny: BuiltModel) -> None:
    assert list(open_samples_table(tiny.dataset).rows().columns) == ["id", "split", "target.label"]
    assert list(open_samples_table(tiny.dataset).rows(["note"]).columns) == [
        "id",
        "split",
        "target.label",
        "note.digest",
    ]
    whole = open_samples_table(tiny.dataset).rows(["facts"], values=True)
    assert set(whole.columns) == {"id", "split", "target.label", "facts.digest", "facts.age", "facts.city"}


def test_learning_rows_are_train_and_val_rows_that_have_an_input(tiny: BuiltModel) -> None:
    rows = learning_rows(tiny.dataset, ["photo"])
    assert rows["split"].value_counts().to_dict() == {"train": 42, "val": 21}
    assert rows["photo.digest"].notna().all()
    assert len(learning_rows(tiny.dataset, ["photo", "note"])) == 72, "one of them is enough"


def test_presence_has_a_column_an_input_in_sorted_order(tiny: BuiltModel) -> None:
    samples = open_samples_table(tiny.dataset).rows(["photo", "note", "facts"])
    present = presence(samples, ["photo", "note", "facts"])
    # rows 5, 6 and 7 of every eight lack photo, note and facts
    assert present[5:8].tolist() == [[True, True, False], [True, False, True], [False, True, True]]
    assert present.sum(0).tolist() == [84, 84, 84]


def test_targets_are_indices_of_the_classes(tiny: BuiltModel) -> None:
    samples = open_samples_table(tiny.dataset).rows()
    encoded = tiny.dataset.targets.encode(samples)["label"]
    assert encoded.dtype == torch.int64
    assert [CLASSES[index] for index in encoded.tolist()] == samples["target.label"].tolist()
    changed = samples.assign(**{"target.label": ["unicorn", None] * 48})
    assert (tiny.dataset.targets.encode(changed)["label"] == -1).all()


@pytest.mark.parametrize("column", ["split", "target.label", "photo.digest"])
def test_the_digest_of_rows_sees_what_they_teach(tiny: BuiltModel, column: str) -> None:
    samples = open_samples_table(tiny.dataset).rows(["photo", "note"])
    changed = samples.copy()
    changed.loc[3, column] = "other"
    assert rows_digest(changed, ["photo"]) != rows_digest(samples, ["photo"])
    assert rows_digest(samples.iloc[::-1], ["photo"]) != rows_digest(samples, ["photo"])
    unseen = samples.assign(**{"id": "x", "note.digest": "x"})
    assert rows_digest(unseen, ["photo"]) == rows_digest(samples, ["photo"])
    assert rows_digest(samples, ["photo", "note"]) == rows_digest(samples, ["note", "photo"])


def test_values_are_given_as_the_preprocessors_take_them() -> None:
    row = {
        "a.path": "p.png",
        "a.digest": "1",
        "t.text": "x",
        "f.digest": "2",
        "f.age": "3",
        "f.b.c": None,
        "id": "r",
    }
    assert input_value(row, "a", ImageInput(columns=["file"])) == "p.png"
    assert input_value(row, "t", TextInput(columns=["words"])) == "x"
    assert input_value(row, "f", TabularInput(columns=["age", "b.c"])) == {"age": "3", "b.c": None}


def test_of_several_files_those_are_given_that_are_there() -> None:
    views = ImageInput(columns=["front", "back", "top"])
    row = {"v.path": '["f.png", null, "t.png"]', "v.digest": "1"}
    assert input_value(row, "v", views) == ["f.png", "t.png"]
    assert media_paths(row["v.path"], views) == ["f.png", None, "t.png"]
    assert media_paths(None, views) == [None, None, None]


def test_embeddings_come_in_the_order_of_the_rows_with_zeros_where_absent(tiny: BuiltModel) -> None:
    samples = open_samples_table(tiny.dataset).rows(["photo"])
    whole = load_embeddings(samples, "photo", tiny.features["photo"])
    assert whole.shape == (96, 8)
    assert (whole.abs().sum(1) > 0).tolist() == samples["photo.digest"].notna().tolist()
    backwards = load_embeddings(samples.iloc[::-1], "photo", tiny.features["photo"])
    np.testing.assert_array_equal(backwards.flip(0), whole)


def test_rows_that_all_lack_an_input_have_zeros(tiny: BuiltModel) -> None:
    samples = (
        open_samples_table(tiny.dataset)
        .rows(["photo"])
        .head(3)
        .assign(**{"photo.digest": pd.Series([None] * 3, dtype=str)})
    )
    assert not load_embeddings(samples, "photo", tiny.features["photo"]).any()


class TestRows:
    """The samples table, of which a row group is held."""

    @pytest.fixture
    def grouped(self, tiny: BuiltModel, tmp_path: Path) -> BuiltModel:
        """The samples in row groups of ten."""
        path = tmp_path / "samples.parquet"
        pq.write_table(pq.read_table(tiny.dataset.samples), path, row_group_size=10)
        return replace(tiny, dataset=replace(tiny.dataset, samples=str(path)))

    def test_slices_are_those_of_the_whole_table(self, grouped: BuiltModel) -> None:
        whole = open_samples_table(grouped.dataset).rows(["facts"], values=True)
        chosen = np.array([0, 3, 9, 10, 11, 40, 59, 60, 95])
        rows = SampleRows(open_samples_table(grouped.dataset), ["facts"], chosen)
        assert len(rows) == 9
        for part in (slice(0, 9), slice(0, 4), slice(2, 3), slice(5, 20), slice(9, 12)):
            expected = whole.iloc[chosen[part]].reset_index(drop=True)
            selected = rows[part]
            assert list(selected.columns) == list(expected.columns)
            if len(expected):
                pd.testing.assert_frame_equal(selected, expected)
            else:
                assert not len(selected)

    def test_a_column_can_be_gone_through_again_and_again(self, grouped: BuiltModel) -> None:
        whole = open_samples_table(grouped.dataset).rows(["facts"], values=True)
        chosen = np.flatnonzero(whole["split"] == "train")
        columns = TrainingColumns(
            SampleRows(open_samples_table(grouped.dataset), ["facts"], chosen), ["facts.age"]
        )
        expected = [None if pd.isna(cell) else cell for cell in whole["facts.age"].iloc[chosen]]
        assert None in expected
        for _ in range(2):
            assert list(columns["facts.age"]) == expected

    def test_no_more_than_a_row_group_is_held(
        self, grouped: BuiltModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[int] = []
        original = pq.ParquetFile.read_row_group

        def counted(self: pq.ParquetFile, group: int, *arguments: object) -> object:
            read.append(group)
            return original(self, group, *arguments)

        monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
        rows = SampleRows(open_samples_table(grouped.dataset), ["facts"], np.arange(96))
        for start in range(0, 96, 4):
            assert len(rows[start : start + 4]) == 4
        assert read == sorted(set(read)) == list(range(10)), "each once, and none to hold before its turn"

    def test_one_column_is_read_alone(self, tiny: BuiltModel) -> None:
        column = open_samples_table(tiny.dataset).column("photo.digest")
        digests = open_samples_table(tiny.dataset).rows(["photo"])["photo.digest"]
        assert list(column) == [None if pd.isna(digest) else digest for digest in digests]
