"""Columns of a table: cells as a manifest has them; the truth is which of them say something."""

from __future__ import annotations

from typing import Any

from tests.acceptance.bad_input.case import Case, named

_NUMBERS = ["1", "2", "3.5", "-4", "5e0", "6", "7", "8"] * 3
_DIGITS = "9" * 5000


def cases() -> list[Case]:
    """All columns. ``truth``: type that is found, and the cells of the column that are missing."""
    columns: dict[str, tuple[list[Any], str, set[int]]] = {
        "numbers": (_NUMBERS, "numeric", set()),
        "numbers and one NaN": ([*_NUMBERS, "NaN"], "numeric", {24}),
        "numbers and one inf": ([*_NUMBERS, "inf"], "numeric", {24}),
        "numbers and one -Infinity": ([*_NUMBERS, "-Infinity"], "numeric", {24}),
        "numbers and 1e999": ([*_NUMBERS, "1e999"], "numeric", {24}),
        "numbers and 5000 digits": ([*_NUMBERS, _DIGITS], "numeric", {24}),
        "numbers and a word": ([*_NUMBERS, "many"], "numeric", {24}),
        "numbers and blanks": ([*_NUMBERS, "", " ", None], "numeric", {24, 25, 26}),
        "numbers and words for nothing": ([*_NUMBERS, "n/a", "-", "?", "NULL"], "numeric", {24, 25, 26, 27}),
        "floats with NaN": ([1.5, 2.5, float("nan"), 4.0], "numeric", {2}),
        "floats with infinity": ([*[1.5] * 30, float("inf")], "numeric", {30}),
        "one value": (["7"] * 20, "numeric", set()),
        "0 and 1": (["0", "1"] * 9, "numeric", set()),
        "the largest and the smallest": (["1.7e308", "-1.7e308", "5e-324", "0"] * 5, "numeric", set()),
        "an outlier of 1e300": ([*_NUMBERS, "1e300"], "numeric", set()),
        "European numbers": (["1.234,5", "2.345,6", "3,5"] * 5, "numeric", set()),
        "Swiss numbers": (["1'234.5", "2'345.6"] * 5, "numeric", set()),
        "numbers with spaces": (["1 234", "2\u00a0345", "3\u202f456"] * 5, "numeric", set()),
        "minus signs": (["\u22121", "-2", "+3"] * 5, "numeric", set()),
        "hexadecimal": (["0x1f", "0x2a"] * 5, "categorical", set()),
        "underscores": (["1_000", "2_000"] * 5, "numeric", set()),
        "Arabic digits": (["١٢", "٣٤"] * 5, "numeric", set()),
        "all empty": (["", None, " "] * 5, "categorical", set(range(15))),
        "all NaN": ([float("nan")] * 9, "categorical", set(range(9))),
        "words": (["red", "green", "blue"] * 5, "categorical", set()),
        "words with spaces and cases": ([" red", "red ", "Red"] * 5, "categorical", set()),
        "a word of 1 MB": (["x" * 1_000_000, "y"] * 3, "categorical", set()),
        "5000 different words": ([f"word {at}" for at in range(5000)], "categorical", set()),
        "emoji": (["😀", "👍🏽"] * 5, "categorical", set()),
        "NUL": (["a\0", "b\0"] * 5, "categorical", set()),
        "right to left": (["שלום", "عليكم"] * 5, "categorical", set()),
        "lists and mappings": ([[1], {"a": 1}, (2,)] * 3, "categorical", set()),
        "mixed types": ([1, "two", 3.0, True, None, b"x"], "categorical", {4}),
        "truth": (["true", "false", "yes", "no"] * 3, "boolean", set()),
        "truth and a slip": ([*["true", "false"] * 12, "perhaps"], "boolean", {24}),
        "dates": (["2024-02-29", "2023-01-01"] * 5, "datetime", set()),
        "a day that is none": ([*["2024-02-29"] * 24, "2023-02-29"], "datetime", {24}),
        "German dates": (["29.02.2024", "01.01.2023"] * 5, "datetime", set()),
        "the first and the last year": (["0001-01-01", "9999-12-31"] * 5, "datetime", set()),
        "times with zones": (
            ["2024-02-29T23:00:00+14:00", "2024-02-29T01:00:00-12:00"] * 5,
            "datetime",
            set(),
        ),
        "beyond the last year": (
            [*["9999-12-31T20:00:00+00:00"] * 24, "9999-12-31T23:59:59-23:59"],
            "datetime",
            {24},
        ),
    }
    return named(
        [
            Case("tables", name, cells, "used", (kind, missing))
            for name, (cells, kind, missing) in columns.items()
        ]
    )
