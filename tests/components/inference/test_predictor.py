"""Scoring rows as users have them."""

from __future__ import annotations

import base64
import io
import os
import shutil
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.data.examples import as_table, with_content
from components.data.samples import open_samples_table
from components.data.values import is_null, read_cells, read_media
from components.errors import ModelError
from components.inference.predictor import Predictor
from tests.components.conftest import CLASSES, BuiltModel

COLUMNS = {"photo": ["photo"], "note": ["note"], "facts": ["age", "city"]}
PROBABILITIES = [f"probability_{name}" for name in CLASSES]


@pytest.fixture(scope="module")
def predictor(tiny: BuiltModel) -> Predictor:
    return Predictor(tiny.bundle, "cpu")


@pytest.fixture(scope="module")
def table(tiny: BuiltModel) -> pd.DataFrame:
    """Test rows that have every input, as the manifest gave them."""
    samples = open_samples_table(tiny.dataset).rows(list(tiny.config.inputs), values=True)
    digests = [f"{name}.digest" for name in tiny.config.inputs]
    samples = samples[(samples["split"] == "test") & samples[digests].notna().all(axis=1)]
    return as_table(samples, tiny.config.inputs)


def same(predictions: pd.DataFrame, expected: pd.DataFrame, **options: Any) -> None:
    pd.testing.assert_frame_equal(predictions[PROBABILITIES], expected[PROBABILITIES], **options)


def test_a_row_of_the_table_is_a_row_of_the_result(predictor: Predictor, table: pd.DataFrame) -> None:
    predictions = predictor.predict(table)
    assert list(predictions.index) == list(table.index)
    assert list(predictions.columns) == [
        *("label", "probability", *PROBABILITIES, "set", "abstain"),
        *("inputs", "error"),
    ]
    np.testing.assert_allclose(predictions[PROBABILITIES].sum(axis=1), 1)
    assert (predictions["probability"] == predictions[PROBABILITIES].max(axis=1)).all()
    assert [f"probability_{label}" for label in predictions["label"]] == list(
        predictions[PROBABILITIES].idxmax(axis=1)
    )
    assert set(predictions["inputs"]) == {"photo+note+facts"}, "in the order of the pipeline file"
    assert predictions["error"].isna().all()


def test_it_has_learned_something(predictor: Predictor, tiny: BuiltModel, table: pd.DataFrame) -> None:
    targets = open_samples_table(tiny.dataset).rows()["target.label"].loc[table.index]
    assert (predictor.predict(table)["label"] == targets).mean() > 0.8


SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(COLUMNS, size)]


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_every_subset_of_the_inputs_is_scored(
    predictor: Predictor, table: pd.DataFrame, subset: tuple[str, ...]
) -> None:
    columns = [column for name in subset for column in COLUMNS[name]]
    by_columns = predictor.predict(table[columns])
    assert set(by_columns["inputs"]) == {"+".join(subset)}
    assert by_columns["label"].notna().all()
    nulls = table.copy()
    nulls[[column for column in table if column not in columns]] = None
    same(predictor.predict(nulls), by_columns)
    by_option = predictor.predict(table, inputs=subset)
    same(by_option, by_columns)
    assert list(by_option["inputs"]) == list(by_columns["inputs"])


def test_a_row_without_any_input_gets_the_prior_and_no_label(
    predictor: Predictor, table: pd.DataFrame
) -> None:
    rows = table.head(2).astype(object)
    rows.loc[rows.index[1]] = None
    predictions = predictor.predict(rows)
    assert predictions["label"].isna().tolist() == [False, True]
    np.testing.assert_allclose(predictions[PROBABILITIES].iloc[1], [1 / 3] * 3, rtol=1e-6)
    assert predictions["inputs"].iloc[1] == ""
    assert predictions["error"].isna().all(), "missing is not an error"


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, pd.NaT, "", "   ", b""])
def test_whatever_means_nothing_is_a_missing_input(
    predictor: Predictor, table: pd.DataFrame, nothing: Any
) -> None:
    rows = table.head(1).astype(object)
    rows["photo"] = [nothing]
    predictions = predictor.predict(rows)
    assert predictions["inputs"].iloc[0] == "note+facts"
    assert predictions["error"].isna().all()


def test_other_columns_do_no_harm(predictor: Predictor, table: pd.DataFrame) -> None:
    same(predictor.predict(table.assign(label="x", other=3)), predictor.predict(table))


def test_a_table_without_a_column_of_the_model_gets_the_prior(predictor: Predictor) -> None:
    predictions = predictor.predict(pd.DataFrame({"other": [1, 2]}))
    assert predictions["label"].isna().all()


def test_an_empty_table_gives_an_empty_result(predictor: Predictor, table: pd.DataFrame) -> None:
    predictions = predictor.predict(table.head(0))
    assert len(predictions) == 0
    assert list(predictions.columns) == list(predictor.predict(table.head(1)).columns)


def test_indices_stay_whatever_they_are(predictor: Predictor, table: pd.DataFrame) -> None:
    rows = table.head(3).set_axis(["x", "x", "y"], axis=0)
    predictions = predictor.predict(rows)
    assert list(predictions.index) == ["x", "x", "y"]
    np.testing.assert_array_equal(
        predictions[PROBABILITIES].to_numpy(), predictor.predict(table.head(3))[PROBABILITIES].to_numpy()
    )


def test_rows_are_scored_alike_alone_and_in_large_tables(predictor: Predictor, table: pd.DataFrame) -> None:
    many = pd.concat([table] * 12, ignore_index=True)  # more than one batch
    assert len(many) > 128
    predictions = predictor.predict(many)[PROBABILITIES].to_numpy()
    alone = predictor.predict(many.tail(1))[PROBABILITIES].to_numpy()
    np.testing.assert_allclose(predictions[-1:], alone, atol=1e-5)  # float32 sums in another batch
    np.testing.assert_allclose(predictions[: len(table)], predictions[-len(table) :], atol=1e-5)


class TestMedia:
    @pytest.mark.parametrize("kind", ["path", "bytes", "bytearray", "base64", "data url"])
    def test_a_picture_may_be_given_in_any_form(
        self, predictor: Predictor, table: pd.DataFrame, kind: str
    ) -> None:
        def given(path: str) -> Any:
            data = Path(path).read_bytes()
            text = base64.b64encode(data).decode()
            return {
                "path": Path(path),
                "bytes": data,
                "bytearray": bytearray(data),
                "base64": text,
                "data url": f"data:image/png;base64,{text}",
            }[kind]

        rows = table.assign(photo=[given(path) for path in table["photo"]])
        predictions = predictor.predict(rows)
        same(predictions, predictor.predict(table), check_exact=True)
        assert predictions["error"].isna().all()

    @pytest.mark.parametrize(
        "value",
        [
            "no/such/file.png",
            b"not a picture",
            base64.b64encode(b"x" * 90).decode(),
            "data:image/png;base64,AAA",  # three letters are no bytes
            3.5,
        ],
    )
    def test_a_bad_file_is_told_and_the_other_inputs_are_used(
        self, predictor: Predictor, table: pd.DataFrame, value: Any
    ) -> None:
        rows = table.head(2).astype(object)
        rows["photo"] = [rows["photo"].iloc[0], value]
        predictions = predictor.predict(rows)
        assert predictions["inputs"].tolist() == ["photo+note+facts", "note+facts"]
        assert predictions["error"].isna().tolist() == [True, False]
        assert predictions["error"].iloc[1].startswith("photo: ")
        without = predictor.predict(rows.tail(1), inputs=["note", "facts"])
        same(predictions.tail(1), without, atol=1e-5)  # float32 sums in a batch of another size

    def test_a_row_of_which_nothing_can_be_read_has_no_label(self, predictor: Predictor) -> None:
        predictions = predictor.predict(pd.DataFrame({"photo": ["gone.png"]}))
        assert predictions["label"].isna().all()
        assert "gone.png" in predictions["error"].iloc[0]

    def test_a_path_that_happens_to_be_base64_is_a_path(
        self, predictor: Predictor, table: pd.DataFrame
    ) -> None:
        # embedded media are kept under their digest, without an ending; pytest's folders have a dash
        folder = Path(f"/tmp/braid{os.getpid()}")
        folder.mkdir()
        try:
            path = folder / ("0" * (128 - len(str(folder)) - 1))
            assert base64.b64decode(str(path), validate=True)
            path.write_bytes(Path(table["photo"].iloc[0]).read_bytes())
            rows = table.head(1).assign(photo=str(path))
            predictions = predictor.predict(rows)
            assert predictions["error"].isna().all()
            same(predictions, predictor.predict(table.head(1)), check_exact=True)
        finally:
            shutil.rmtree(folder)

    def test_a_large_picture_of_another_kind_is_taken(self, predictor: Predictor) -> None:
        file = io.BytesIO()
        Image.new("CMYK", (300, 200), (10, 20, 30, 0)).save(file, "JPEG")
        predictions = predictor.predict(pd.DataFrame({"photo": [file.getvalue()]}))
        assert predictions["inputs"].tolist() == ["photo"]


class TestTable:
    def test_cells_may_be_numbers_or_text(self, predictor: Predictor) -> None:
        predictions = predictor.predict(
            pd.DataFrame({"age": [31, 31.0, "31", " 31.0 "], "city": ["Bonn"] * 4})
        )
        apart = np.ptp(predictions[PROBABILITIES].to_numpy(), axis=0)
        assert apart.max() < 1e-6  # some processors treat the last rows of a batch in another way: last bits

    def test_one_of_two_cells_is_enough(self, predictor: Predictor) -> None:
        predictions = predictor.predict(pd.DataFrame({"age": [31.0, None], "city": [None, "Bonn"]}))
        assert predictions["inputs"].tolist() == ["facts", "facts"]
        assert predictions["label"].notna().all()

    def test_a_column_that_is_not_there_is_a_null_cell(self, predictor: Predictor) -> None:
        one = predictor.predict(pd.DataFrame({"city": ["Bonn"]}))
        same(one, predictor.predict(pd.DataFrame({"city": ["Bonn"], "age": [None]})))

    def test_a_city_never_seen_is_taken(self, predictor: Predictor) -> None:
        predictions = predictor.predict(pd.DataFrame({"city": ["Atlantis"], "age": [31]}))
        assert predictions["error"].isna().all()


def test_an_unknown_input_is_told(predictor: Predictor, table: pd.DataFrame) -> None:
    with pytest.raises(
        ModelError, match=r"inputs: 'fotos' is not one of: facts, note, photo. Did you mean 'photo'"
    ):
        predictor.predict(table, inputs=["fotos"])


def test_columns_are_those_of_the_inputs(predictor: Predictor) -> None:
    assert predictor.columns == ["photo", "note", "age", "city"]


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "nan?", b"\0"])
def test_zero_and_false_are_something(value: Any) -> None:
    assert not is_null(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("data:image/png;base64,QUJD%%%%", "is not base64"),  # Python's decoder drops what it does not know
        ("data:image/png;base64,QUJ", "is not base64"),
        ("data:image/svg+xml,<svg/>", "without ';base64,'"),
    ],
)
def test_base64_is_taken_whole_or_not_at_all(text: str, reason: str) -> None:
    for files in (True, False):
        with pytest.raises(ValueError, match=reason):
            read_media(text, files)


def test_base64_may_have_line_breaks() -> None:
    data = bytes(range(256))
    text = base64.encodebytes(data).decode()
    assert text.count("\n") > 1
    for given in (text, f"data:;base64,{text}"):
        assert read_media(given) == read_media(given, files=False) == data


@pytest.mark.parametrize("value", [3.5, ["a.png"], {"bytes": "QUJD"}])
def test_what_is_no_text_is_no_media(value: Any) -> None:
    with pytest.raises(ValueError, match=f"expected base64 text, found {type(value).__name__}"):
        read_media(value, files=False)
    with pytest.raises(ValueError, match="expected a path, bytes or base64 text"):
        read_media(value)


def test_without_files_text_is_content(predictor: Predictor, table: pd.DataFrame) -> None:
    rows = table.head(1)
    path = str(rows["photo"].iloc[0])
    assert read_media("QUJD", files=False) == b"ABC"
    predictor.files = False
    try:
        named = predictor.predict(rows)
        sent = predictor.predict(with_content(rows, predictor.bundle.inputs))
    finally:
        predictor.files = True
    assert Path(path).exists()
    assert named["inputs"].tolist() == ["note+facts"]
    assert "is not base64" in named["error"].iloc[0]
    same(sent, predictor.predict(rows), check_exact=True)


def test_a_large_file_is_left_out_of_an_example(tmp_path: Path, predictor: Predictor) -> None:
    file = tmp_path / "large.png"
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    Image.fromarray(noise).save(file)
    assert file.stat().st_size > 256 * 1024
    example = with_content(pd.DataFrame({"photo": [str(file), None]}, dtype=object), predictor.bundle.inputs)
    assert example["photo"].tolist() == [None, None]


def test_long_paths_stay_paths_and_short_text_is_not_decoded() -> None:
    path = "/data/" + "x" * 80 + "/picture.png"
    assert read_media(path) == path
    assert read_media("abcd") == "abcd"


def test_several_text_columns_are_joined_by_a_line_break(tiny: BuiltModel) -> None:
    section = tiny.config.inputs["note"].model_copy(update={"columns": ["title", "body"]})
    assert read_cells({"title": "a", "body": "b"}, section, {}) == "a\nb"
    assert read_cells({"title": None, "body": "b"}, section, {}) == "b"
    assert read_cells({"title": None, "body": np.nan}, section, {}) is None


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        ([np.nan, np.nan], [None, None]),
        ([12345, 7], ["12345", "7"]),
        ([12345, None], ["12345", None]),
        (pd.Series([12345, None], dtype="Int64"), ["12345", None]),
        ([True, False], ["true", "false"]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.to_datetime(["2024-02-03", "2024-02-04"]), ["2024-02-03", "2024-02-04"]),
        ([1.5, 2.0], ["1.5", "2"]),
        (["007", " x "], ["007", " x "]),
    ],
)
def test_text_is_read_from_whatever_type_pandas_made(
    tiny: BuiltModel, cells: Sequence[Any], texts: list[str | None]
) -> None:
    section = tiny.config.inputs["note"].model_copy(update={"columns": ["note"]})
    rows = pd.DataFrame({"note": cells}).to_dict("records")
    assert [read_cells(row, section, {}) for row in rows] == texts
