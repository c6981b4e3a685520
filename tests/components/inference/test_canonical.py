"""Rows as the preprocessors made them: errors by row, and some of the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from components.inference.canonical import CanonicalInput, CanonicalRows
from components.inference.ensemble import Embeddings
from components.inference.predictor import Predictor
from tests.components.conftest import BuiltModel

ROWS = CanonicalRows(
    4,
    {
        "photo": CanonicalInput({0: np.array([0]), 3: np.array([3])}, {1: "torn", 2: "missing"}),
        "note": CanonicalInput({1: np.array([1])}, {2: "no text"}),
    },
)


def test_errors_name_the_inputs_of_each_row() -> None:
    assert ROWS.errors == [None, "photo: torn", "photo: missing; note: no text", None]


def test_some_rows_keep_their_arrays_and_errors_in_the_order_asked_for() -> None:
    some = ROWS.take([3, 1])
    assert some.count == 2
    assert some.errors == [None, "photo: torn"]
    assert {row: array.item() for row, array in some.inputs["photo"].arrays.items()} == {0: 3}
    assert {row: array.item() for row, array in some.inputs["note"].arrays.items()} == {1: 1}
    assert ROWS.take([]).errors == []


def test_what_is_known_to_be_unusable_is_not_read_and_an_input_may_be_forbidden(tiny: BuiltModel) -> None:
    predictor = Predictor(tiny.bundle, "cpu")
    table = pd.DataFrame({"photo": ["/nowhere.png", "/nowhere.png"], "note": ["one", "two"], "age": [3, 4]})
    rows = predictor.read(table, ["photo", "note"], {(1, "photo"): "known", (0, "facts"): "not looked at"})
    assert list(rows.inputs["note"].arrays) == [0, 1]
    assert rows.inputs["facts"] == CanonicalInput({}, {})
    first, second = rows.errors
    assert first is not None
    assert first.startswith("photo: ")
    assert "/nowhere.png" in first
    assert second == "photo: known"
    present = predictor.embed(rows).present  # (2, 3): facts, note, photo
    assert present.tolist() == [[False, True, False]] * 2


def test_embeddings_of_inputs_are_those_that_they_were_put_together_from(tiny: BuiltModel) -> None:
    predictor = Predictor(tiny.bundle, "cpu")
    rows = predictor.read(pd.DataFrame({"note": ["one", None], "age": [3, 4]}))
    embeddings = predictor.embed(rows)
    again = Embeddings.of(dict(reversed(embeddings.inputs.items())))
    assert again.fusion is again.single
    assert torch.equal(again.present, embeddings.present)
    for name, each in embeddings.inputs.items():
        own = predictor.embed_input(name, rows.inputs[name].arrays, 2)
        assert torch.equal(each.single, own.single)
        assert torch.equal(each.present, own.present)
