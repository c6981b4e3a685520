"""Columns of tables: the cells of a column say together how each is read."""

from __future__ import annotations

import random
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config.data import ColumnConfig
from components.data.cells import UnusableCellError
from components.data.guess import CodeGuess, Reading, TableGuess, Wanted
from components.data.spelling import Spelling


def read(cells: list[Any], wanted: Wanted | None = None, name: str = "x", **options: Any) -> Reading:
    return TableGuess(name, wanted, ColumnConfig(**options)).add(cells).reading(".")


def names(cells: list[Any], **options: Any) -> list[str | None]:
    spelling = read(cells, **options).spelling
    assert Spelling.from_json(spelling.to_json()) == spelling
    return [spelling.name(cell) for cell in cells]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,25", "1,250", "3"], ["1.25", "1.25", "3"]),
        (["1.25", "1,250", "3"], ["1.25", "1250", "3"]),
        (["1.234.567,89", "1.250"], ["1234567.89", "1250"]),
        (["1,234,567", "1,250"], ["1234567", "1250"]),
        (["1 234,5", "1\u202f234", "7"], ["1234.5", "1234", "7"]),
        (["12 %", "7.5%", ""], ["12", "7.5", None]),
        (["€ 3,50", "1.200,00 €", "EUR 7"], ["3.5", "1200", "7"]),
        (["$1,200.00", "($3.50)"], ["1200", "-3.5"]),
        (["12 kg", "3.5kg", "NA", 4.5], ["12", "3.5", None, "4.5"]),
        (["1", "2.5", "unknown", "1e5", "+3"], ["1", "2.5", "unknown", "100000", "3"]),
        (["08:30", time(9, 15), "23:59:59.5"], ["30600", "33300", "86399.5"]),
        ([timedelta(hours=1), "0 days 02:00:00"], ["3600", "7200"]),
        (["13/02/2024", "01/02/2024"], ["2024-02-13", "2024-02-01"]),
        (["02/13/2024", "01/02/2024"], ["2024-02-13", "2024-01-02"]),
        (["1.2.2024", "2024-02-03"], ["2024-02-01", "2024-02-03"]),
        ([date(2024, 2, 3), datetime(2024, 2, 3, 4)], ["2024-02-03", "2024-02-03T04:00:00"]),
        (["2024-02-03T01:00:00+02:00", "2024-02-03"], ["2024-02-02T23:00:00", "2024-02-03"]),
        (["a", "1,5", "2"], ["a", "1,5", "2"]),
        (["1A", "2B", "3C"], ["1A", "2B", "3C"]),
        (["true", "False", "-"], ["true", "false", None]),
    ],
)  # fmt: skip
def test_all_cells_of_a_column_are_read_by_one_rule(cells: list[Any], expected: list[str | None]) -> None:
    assert names(cells) == expected


@pytest.mark.parametrize(
    ("cells", "finding"),
    [
        (
            ["1,250", "2,125"],
            r"x: no number shows its decimal mark; 1,250 is read with a decimal point, as 1250",
        ),
        (["1,5", "2.5", "1,250"], "2 numbers have a decimal comma|1 numbers have a decimal comma"),
        (["12 kg", "500 g"] * 4, "several units .*kg 4, g 4.*so the cells are read as words"),
        (["12 kg"] * 40 + ["500 g"], "1 cells have another unit than kg"),
        (["12 kg"] * 4 + ["5"], "1 cells without a unit are read as kg"),
        (["12 %", "0.12"] * 4, "several units"),
        (["1"] * 40 + ["abc"], "1 cells such as 'abc' are no numbers, and are read as empty"),
        (["01/02/2024", "03/04/2024"], "no date shows if the day or the month is first; read month-first"),
        (["13/02/2024", "02/13/2024", "14/02/2024"], "dates of both orders .*read day-first"),
        (["2024-01-01T00:00:00Z", "2024-01-01T00:00:00"], "1 times without a zone stand beside others"),
    ],
)
def test_what_is_not_certain_is_said(cells: list[str], finding: str) -> None:
    [only] = read(cells).findings
    assert re.search(finding, only)


def test_what_is_certain_says_nothing() -> None:
    for cells in (["1,25", "1,250"], ["1", "2"], ["1A", "2B"], ["13/02/2024", "01/02/2024"], ["a"], []):
        assert read(cells).findings == ()


def test_the_configuration_overrides_the_guess() -> None:
    assert names(["1,250", "2,125"], decimal=",") == ["1.25", "2.125"]
    assert names(["01/02/2024"], dates="day-first") == ["2024-02-01"]
    assert names(["NA", "DE", "?"], empty=["?"]) == ["NA", "DE", None]
    assert names([1.125, 2.25], decimal=",") == ["1.125", "2.25"]  # numbers are no text


def test_a_cell_that_the_column_cannot_hold_is_unusable() -> None:
    dates = read(["2024-01-01"] * 40 + ["2024-02-30"]).spelling
    with pytest.raises(UnusableCellError, match="'2024-02-30' is a date that does not exist"):
        dates.name("2024-02-30")
    weights = read(["12 kg"] * 40 + ["500 g"]).spelling
    with pytest.raises(UnusableCellError, match="'500 g' is in g, but the column is in kg"):
        weights.name("500 g")


@pytest.mark.parametrize(
    ("name", "cells", "code"),
    [
        ("zip", ["10115", "80331"], True), ("customerZip", ["10115"], True), ("PLZ", ["10115"], True),
        ("x", ["01067", "10115"], True), ("x", ["10115", "80331"], False), ("user_id", ["1", "2"], True),
        ("icd", ["250.00", "401.9"], True), ("Hausnummer", ["1", "12"], True),
        ("phone_number", ["123"], True),
        ("x", ["4006381333931", "9783161484100"], True), ("x", ["1700000000", "1700003600"], False),
        ("x", ["1700000000000", "1700003600000"], False), ("code", ["0.85", "0.9"], False),
        ("number", ["1", "2"], False), ("humidity", ["1", "2"], False), ("x", ["0", "1", "0.5"], False),
        ("grid", ["1"], False), ("x", ["10115.0", "80331.0"], False), ("x", [], False),
    ],
)  # fmt: skip
def test_digits_that_name_something_are_a_code(name: str, cells: list[str], code: bool) -> None:
    guess = CodeGuess(name)
    for cell in cells:
        guess.add(cell, is_number=True)
    assert guess.is_code is code


def cells_of(kind: str, rows: int = 300) -> list[str]:
    """Digits of one length in every row."""
    draw = random.Random(0)
    match kind:
        case "zip codes":
            known = [str(draw.randint(10_000, 99_999)) for _ in range(40)]
            return [draw.choice(known) for _ in range(rows)]
        case "dense weights":
            return [str(draw.randint(1_000, 1_080)) for _ in range(rows)]
        case "prices":
            return [draw.choice(["1999", "2999", "4999", "7999", "9999"]) for _ in range(rows)]
        case "rounded salaries":
            return [str(draw.randint(20, 90) * 1000) for _ in range(rows)]
        case "exact salaries":
            return [str(draw.randint(20_000, 90_000)) for _ in range(rows)]
        case "years":
            return [str(draw.randint(1900, 2020)) for _ in range(rows)]
        case "days":
            return [f"2024{draw.randint(1, 12):02d}{draw.randint(1, 9):02d}" for _ in range(rows)]
    return [str(draw.choice([10115, 20095, 50667, 80331, 60313])) for _ in range(20)]  # "few rows"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("zip codes", True), ("dense weights", False), ("prices", False), ("rounded salaries", False),
        ("exact salaries", False), ("years", False), ("days", False), ("few rows", False),
    ],
)  # fmt: skip
def test_few_numbers_of_one_length_that_repeat_are_codes(kind: str, code: bool) -> None:
    guess = CodeGuess("area")
    for cell in cells_of(kind):
        guess.add(cell, is_number=True)
    assert guess.is_code is code
    guess.add("-3.5", is_number=True)
    assert not guess.is_code
    reading = TableGuess("area", None, ColumnConfig()).add(cells_of(kind)).reading(".")
    assert (str(reading) == "code, a category") is code
    assert any("area: few numbers of as many digits repeat" in each for each in reading.findings) is code
    forced = TableGuess("area", "numeric", ColumnConfig()).add(cells_of(kind)).reading(".")
    assert forced.spelling.kind == "number"


def test_codes_stay_as_they_are_written() -> None:
    assert names(["01067", "10115"], name="ort") == ["01067", "10115"]
    assert names(["1.250", "2.500"], name="icd") == [
        "1.25",
        "2.5",
    ]  # without a comma nor a unit, as all numbers
    assert str(read(["01067", "10115"], name="ort")) == "code, a category"


_numbers = st.lists(
    st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=2), min_size=1, max_size=20
)


@given(
    _numbers,
    st.sampled_from([".", ","]),
    st.sampled_from(["", " ", "\u00a0", "\u202f", "'", "other"]),
    st.sampled_from(["{}", "{} kg", "€ {}", "{} %", "{}cm", "USD {}"]),
    st.sampled_from(["-{}", "\u2212{}", "({})", "{}-"]),
)
def test_a_column_means_the_same_however_it_is_written(
    numbers: list[Decimal], decimal: str, group: str, unit: str, minus: str
) -> None:
    if unit != "{}" and minus == "{}-":
        minus = "-{}"  # nobody writes the minus behind and a unit too
    group = {"other": "," if decimal == "." else "."}.get(group, group)

    def written(number: Decimal) -> str:
        digits = f"{abs(number):,.2f}".replace(",", "g").replace(".", decimal).replace("g", group)
        text = unit.format(digits)
        return minus.format(text) if number < 0 else text

    cells = [written(number) for number in numbers]
    assert [float(str(name)) for name in names(cells)] == [float(number) for number in numbers]
