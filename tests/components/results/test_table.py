"""Cells of every kind as files and as people have them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from components.evaluation.intervals import Interval
from components.results.table import Column, Table, estimate, flag, interval, number, p_value, text

NAN = math.nan
AROUND = Interval(0.123456, -0.05, 0.25)
NOWHERE = Interval(NAN, NAN, NAN)
ONCE = Interval(0.1, NAN, NAN)


@pytest.mark.parametrize(
    ("column", "cell", "exact", "shown"),
    [
        (text("a"), "words", {"a": "words"}, "words"),
        (text("a"), None, {"a": None}, ""),
        (flag("a"), True, {"a": True}, "yes"),
        (flag("a"), False, {"a": False}, "no"),
        (number("a"), 0.123456, {"a": 0.1235}, "0.123"),
        (number("a"), NAN, {"a": None}, "–"),
        (number("a", undefined="none"), None, {"a": None}, "none"),
        (number("a", "+.2f"), 0.5, {"a": 0.5}, "+0.50"),
        (number("a", ".1%"), 0.25, {"a": 0.25}, "25.0%"),
        (number("a", ""), 1234, {"a": 1234}, "1234"),
        (number("a", ""), 0.123456, {"a": 0.1235}, "0.1235"),
        (p_value("a"), 0.000123456, {"a": 0.000123}, "0.000123"),
        (p_value("a"), NAN, {"a": None}, "–"),
        (interval("a"), AROUND, {"low": -0.05, "high": 0.25}, "-0.050 … 0.250"),
        (
            interval("a", undefined="one seed"),
            Interval(0.1, NAN, NAN),
            {"low": None, "high": None},
            "one seed",
        ),
        (interval("a", bounds=("b", "c")), None, {"b": None, "c": None}, "–"),
        (estimate("a", "+.2f"), AROUND, {"a": 0.1235, "low": -0.05, "high": 0.25}, "+0.12 -0.05…+0.25"),
        (estimate("a"), NOWHERE, {"a": None, "low": None, "high": None}, "–"),
        (estimate("a"), ONCE, {"a": 0.1, "low": None, "high": None}, "0.100"),
    ],
)
def test_a_cell_has_one_form_for_files_and_one_for_people(
    column: Column, cell: Any, exact: dict[str, Any], shown: str
) -> None:
    assert column.exact(cell) == exact
    assert column.text(cell) == shown


def test_records_have_the_same_keys_in_every_row_also_without_any_row() -> None:
    columns = (text("model"), number("value"), interval("interval"))
    table = Table("", columns, (("a", 0.5, AROUND), ("b", NAN, NOWHERE)))
    assert table.names == ["model", "value", "low", "high"] == Table("", columns, ()).names
    assert [list(record) for record in table.records()] == [table.names] * 2
    assert table.records()[1] == {"model": "b", "value": None, "low": None, "high": None}
    assert table.texts() == [["a", "0.500", "-0.050 … 0.250"], ["b", "–", "–"]]


def test_a_row_that_lacks_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 of table 'candidates' has 1 cells, and there are 2 columns"):
        Table("", (text("a"), text("b")), (("x", "y"), ("x",)), title="candidates")


def test_a_table_of_results_has_a_row_per_result_and_marks_some() -> None:
    table = Table.of(
        "Squares.",
        iter([2, 3]),
        (text("number"), str),
        (number("square", ""), lambda value: value**2),
        marked=lambda value: value > 2,
    )
    assert table == Table(
        "Squares.", (text("number"), number("square", "")), (("2", 4), ("3", 9)), marked=frozenset({1})
    )
