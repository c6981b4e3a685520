"""Cells of real tables: typed by what they hold, scaled by training rows alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.config.inputs import TabularInput
from components.preprocess import build_preprocessor
from components.preprocess.columns import Categorical, guess_type
from components.preprocess.tabular import TabularPreprocessor
from components.preprocess.values import to_boolean, to_datetime, to_number


def fitted(table: dict[str, Sequence[Any]], **options: Any) -> TabularPreprocessor:
    config = TabularInput.model_validate({"columns": list(table), **options})
    preprocessor = build_preprocessor(config)
    assert isinstance(preprocessor, TabularPreprocessor)
    preprocessor.fit(
        pd.DataFrame({f"t.{name}": pd.Series(values, dtype=object) for name, values in table.items()})
    )
    return preprocessor


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("3", 3), (" -3.5 ", -3.5), ("1e3", 1000), ("+.5", 0.5), ("1,234", 1234), ("1,234,567.8", 1234567.8),
        ("1.234,5", 1234.5), ("1.234.567", 1234567), ("3,5", 3.5), ("1 234", 1234), ("1\u00a0234,5", 1234.5),
        ("1'234", 1234), ("\u22123", -3), (7, 7), (2.5, 2.5), (np.int32(4), 4), (True, 1),
        (None, None), ("", None), ("abc", None), ("1-2", None), ("12:30", None), ("nan", None), ("inf", None),
        ("1e999", None), (math.nan, None), (math.inf, None), ("0x10", None),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(cell: Any, number: float | None) -> None:
    assert to_number(cell) == number


@pytest.mark.parametrize(
    ("cell", "truth"),
    [
        ("yes", True),
        (" TRUE ", True),
        ("off", False),
        (False, False),
        (1, True),
        ("0", False),
        ("maybe", None),
    ],
)
def test_truth_is_read_from_the_usual_words(cell: Any, truth: bool | None) -> None:
    assert to_boolean(cell) == truth


@pytest.mark.parametrize(
    ("values", "same", "other"),
    [
        ([" red ", "blue"], ["red", "red\u200b"], ["Red"]),
        (["grün"], ["gru\u0308n"], ["grun"]),
        (["3", "4", None], [3, 3.0, "3.0", "3.00", np.int8(3), np.float32(3)], ["03", 3.5, "three"]),
        (["1.50", "2"], [1.5, "1.5", Decimal("1.500"), np.float32(1.5)], [1.55]),
        (["03", "4"], ["03"], [3, "3", "03.0"]),
        (["True", "FALSE"], [True, "true", np.bool_(True), 1, 1.0, "1"], ["yes", 2]),
        (["True", "maybe"], ["True"], ["TRUE", "1"]),
        (["0", "1"], [0, 0.0, False, "False"], [True, 2]),
        ([date(2024, 2, 3)], ["2024-02-03", datetime(2024, 2, 3), "2024-02-03 00:00:00"], ["2024-02-04"]),
    ],
)
def test_a_category_is_one_in_every_spelling_of_its_column(
    values: list[Any], same: list[Any], other: list[Any]
) -> None:
    first = Categorical.fit([values[0]] * 3 + values, 10)
    for column in (first, Categorical.from_state(first.state())):
        assert [column.encode(cell) for cell in same] == [[1.0]] * len(same)
        assert [1.0] not in [column.encode(cell) for cell in other]
        assert [column.encode(cell) for cell in (None, "", math.nan, b"3")] == [[0.0]] * 4


def test_a_model_of_an_earlier_braid_gets_the_rule_of_its_categories() -> None:
    column = Categorical.from_state({"type": "categorical", "categories": ["True", "False"]})
    assert column.categories == ("true", "false")
    assert column.encode(False) == [2.0]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2.5", "", "n/a", "1,000"], "numeric"),
        (["0", "1", "1"], "numeric"),
        (["yes", "no", "", "yes"], "boolean"),
        (["true", "FALSE"], "boolean"),
        (["2024-01-02", "2024-01-02T03:04:05Z", ""], "datetime"),
        (["31.12.2023", "01.02.2024"], "categorical"),  # ingest writes what is a date in ISO 8601
        (["10115", "01067"], "categorical"),
        (["4006381333931", "9783161484100"], "categorical"),
        (["1700000000", "1700003600"], "numeric"),
        (["red", "blue", "3"], "categorical"),
        (["1"] * 30 + ["many"], "numeric"),
        (["1"] * 10 + ["many"], "categorical"),
        (["", None, "n/a"], "categorical"),
        ([], "categorical"),
    ],
)
def test_the_type_is_guessed_from_training_rows(values: list[Any], kind: str) -> None:
    assert guess_type("x", values) == kind


class TestNumeric:
    def test_values_are_scaled_by_median_and_spread_of_training_rows(self) -> None:
        preprocessor = fitted({"x": [str(number) for number in range(101)]})
        assert preprocessor.canonical({"x": "50"}).tolist() == [0.0, 0.0]
        one_deviation = 50 + 50 / 1.349  # half of the rows lie between 25 and 75
        value = preprocessor.canonical({"x": one_deviation})[0]
        assert value == pytest.approx(1 / math.sqrt(1 + 1 / 9), rel=1e-5)

    def test_an_outlier_neither_moves_the_scale_nor_explodes(self) -> None:
        values = [str(number) for number in range(101)]
        clear, spoilt = fitted({"x": values}), fitted({"x": [*values, "1e12"]})
        assert spoilt.canonical({"x": 70})[0] == pytest.approx(clear.canonical({"x": 70})[0], rel=0.05)
        assert 2.9 < spoilt.canonical({"x": "1e12"})[0] <= 3

    def test_order_is_kept(self) -> None:
        preprocessor = fitted({"x": list(range(10))})
        values = [preprocessor.canonical({"x": x})[0] for x in (-100, -5, 0, 4.5, 9, 50)]
        assert values == sorted(values)

    @pytest.mark.parametrize("missing", [None, "", "n/a", math.nan, math.inf, "abc"])
    def test_missing_is_the_median_with_a_flag(self, missing: Any) -> None:
        assert fitted({"x": list(range(10))}).canonical({"x": missing}).tolist() == [0.0, 1.0]

    @pytest.mark.parametrize("values", [["5", "5", "5"], ["0"] * 98 + ["1", "2"]])
    def test_a_column_with_little_spread_stays_finite(self, values: list[str]) -> None:
        preprocessor = fitted({"x": values})
        assert np.isfinite(preprocessor.canonical({"x": "7"})).all()


class TestCategorical:
    def test_codes_go_by_frequency_and_missing_is_not_unseen(self) -> None:
        preprocessor = fitted({"c": ["red", "blue", "red", "green", "blue", "red"]})
        assert preprocessor.cardinalities == [5]
        assert [int(preprocessor.canonical({"c": c})[0]) for c in ("red", "blue", "green", "pink", None)] == [
            1,
            2,
            3,
            4,
            0,
        ]

    def test_rare_categories_are_like_unseen_ones_and_no_missing_ones(self) -> None:
        preprocessor = fitted({"c": ["a", "a", "b", "b", "c"]}, max_categories=2)
        assert preprocessor.cardinalities == [4]
        assert preprocessor.canonical({"c": "c"}).tolist() == [3.0]
        assert preprocessor.canonical({"c": "d"}).tolist() == [3.0]
        assert preprocessor.canonical({"c": None}).tolist() == [0.0]

    def test_what_names_the_row_has_no_category(self) -> None:
        names = [f"row {number}" for number in range(40)]
        preprocessor = fitted({"c": [*names, "twice", "twice"]})
        assert preprocessor.cardinalities == [3]
        assert [preprocessor.canonical({"c": c}).tolist() for c in ("row 3", "twice")] == [[2.0], [1.0]]

    def test_a_model_of_an_earlier_braid_keeps_its_codes(self) -> None:
        column = Categorical.from_state({"type": "categorical", "categories": ["a", "b"], "spelling": "word"})
        assert column.codes == 3
        assert [column.encode(cell) for cell in ("a", "b", "c", None)] == [[1.0], [2.0], [0.0], [0.0]]

    def test_numbers_that_are_names_are_taken_as_told(self) -> None:
        preprocessor = fitted({"zip": ["10115", "80331"]}, types={"zip": "categorical"})
        assert preprocessor.cardinalities == [4]
        assert (
            preprocessor.canonical({"zip": 10115.0}).tolist()
            == preprocessor.canonical({"zip": "10115"}).tolist()
        )


class TestDatetime:
    def test_a_moment_becomes_eight_numbers(self) -> None:
        preprocessor = fitted({"d": ["2024-01-01", "2024-07-01", "2025-01-01T12:00"]})
        assert preprocessor.numeric == 8
        values = preprocessor.canonical({"d": "2024-07-01"})
        assert values.shape == (16,)
        assert values[2:4] == pytest.approx([0, -1], abs=1e-6)  # July is opposite to January
        assert values[6:8] == pytest.approx([0, 1], abs=1e-6)  # midnight
        assert values[8:].tolist() == [0.0] * 8

    def test_missing_and_unreadable_dates_are_flagged(self) -> None:
        preprocessor = fitted({"d": ["2024-01-01", "2024-07-01"]})
        for cell in (None, "someday", pd.NaT):
            assert preprocessor.canonical({"d": cell}).tolist() == [0.0] * 8 + [1.0] * 8

    def test_zones_are_brought_to_utc(self) -> None:
        assert to_datetime("2024-01-01T02:00:00+02:00", "iso") == datetime(2024, 1, 1)
        assert to_datetime(datetime(2024, 1, 1, tzinfo=UTC), "iso") == datetime(2024, 1, 1)
        assert to_datetime(date(2024, 1, 1), "iso") == datetime(2024, 1, 1)


class TestRow:
    TABLE: ClassVar[dict[str, list[Any]]] = {
        "n": ["1", "2", "3"],
        "c": ["a", "b", "a"],
        "yes": ["yes", "no", "yes"],
        "d": ["2024-01-01", "2024-01-02", "2024-01-03"],
        "empty": [None, None, None],
    }

    def test_numbers_then_flags_then_codes(self) -> None:
        preprocessor = fitted(self.TABLE)
        assert preprocessor.numeric == 1 + 1 + 8
        assert preprocessor.cardinalities == [4, 2]
        row = preprocessor.canonical({"n": "2", "c": "b", "yes": "no", "d": None, "empty": "x"})
        assert row.dtype == np.float32
        assert row[:2].tolist() == [0.0, -1.0]
        assert row[10:20].tolist() == [0.0, 0.0] + [1.0] * 8
        assert row[20:].tolist() == [2.0, 1.0]

    def test_a_cell_that_is_left_out_is_missing(self) -> None:
        preprocessor = fitted(self.TABLE)
        assert preprocessor.canonical({}).tolist() == [0.0] * 10 + [1.0] * 10 + [0.0, 0.0]

    @given(
        st.dictionaries(
            st.sampled_from(list(TABLE)), st.none() | st.text() | st.floats() | st.booleans() | st.integers()
        )
    )
    def test_any_cell_gives_finite_numbers(self, row: dict[str, Any]) -> None:
        values = ROW_PREPROCESSOR.canonical(row)
        assert values.shape == (22,)
        assert np.isfinite(values).all()

    def test_a_batch_is_stacked(self) -> None:
        preprocessor = fitted(self.TABLE)
        batch = preprocessor.collate([preprocessor.canonical({}), preprocessor.canonical({"n": 1})])
        assert batch["values"].shape == (2, 22)
        assert batch["values"].dtype == torch.float32

    def test_it_must_be_fitted_first(self) -> None:
        with pytest.raises(RuntimeError, match="call fit"):
            TabularPreprocessor(["n"], {}, 10).canonical({"n": 1})


ROW_PREPROCESSOR = fitted(TestRow.TABLE)
