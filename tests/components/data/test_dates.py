"""Dates as people write them, one at a time."""

from __future__ import annotations

import pytest

from components.data.cells import UnusableCellError
from components.data.dates import Order, is_date, read_date


@pytest.mark.parametrize(
    ("text", "order", "iso"),
    [
        ("2024-02-03", "year-first", "2024-02-03"),
        ("2024-2-3", "year-first", "2024-02-03"),
        ("2024/02/03 04:05", "year-first", "2024-02-03T04:05:00"),
        ("2024-02-03T00:00:00.000", "year-first", "2024-02-03"),
        ("2024-02-03T04:05:06.120000", "year-first", "2024-02-03T04:05:06.12"),
        ("2024-02-03T01:00:00+02:00", "year-first", "2024-02-02T23:00:00"),
        ("2024-02-03 01:00:00Z", "year-first", "2024-02-03T01:00:00"),
        ("03/02/2024", "day-first", "2024-02-03"),
        ("02/03/2024", "month-first", "2024-02-03"),
        ("3.2.24", "day-first", "2024-02-03"),
        ("3.2.69", "day-first", "1969-02-03"),
        ("13/02/2024", "year-first", "2024-02-13"),
        ("02/03/2024 3:05 PM", "month-first", "2024-02-03T15:05:00"),
        ("02/03/2024 12:05 am", "month-first", "2024-02-03T00:05:00"),
        ("3 Feb 2024", "year-first", "2024-02-03"),
        ("3. Februar 2024", "year-first", "2024-02-03"),
        ("February 3rd, 2024", "year-first", "2024-02-03"),
        ("03-Feb-24", "year-first", "2024-02-03"),
        ("2024年2月3日", "year-first", "2024-02-03"),
        ("２０２４-０２-０３", "year-first", "2024-02-03"),
    ],
)
def test_a_date_becomes_iso_in_utc(text: str, order: Order, iso: str) -> None:
    assert is_date(text)
    assert read_date(text, order) == iso
    assert read_date(iso, order) == iso


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2024-02-30", "does not exist"),
        ("31.06.2024", "does not exist"),
        ("13/13/2024", "does not exist"),
        ("2024-01-01T25:00:00", "does not exist"),
        ("9999-12-31T23:59:59-05:00", "does not exist"),
        ("20239-01-08", "is not a date of the years 1000 to 9999"),
        ("0001-01-01 00:00:00", "is not a date of the years 1000 to 9999"),
        ("<value out of range: -1>", "is not a date"),
        ("someday", "is not a date"),
        ("12:30", "is not a date"),
    ],
)
def test_what_is_no_date_says_why(text: str, reason: str) -> None:
    with pytest.raises(UnusableCellError, match=reason):
        read_date(text, "day-first")


def test_a_date_of_either_order_does_not_fit_where_years_are_first() -> None:
    with pytest.raises(UnusableCellError, match="the day or the month first"):
        read_date("03/02/2024", "year-first")
