"""Numbers as people write them, one at a time."""

from __future__ import annotations

from decimal import Decimal

import pytest

from components.data.cells import UnusableCellError
from components.data.numbers import CLOCK, NumberForm, parse_number


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("3", "3", ""), (" -3.5 ", "-3.5", ""), ("1e3", "1000", ""), ("+.5", "0.5", ""), ("3,5", "3.5", ""),
        ("1,234,567.8", "1234567.8", ""), ("1.234.567,89", "1234567.89", ""), ("1.234.567", "1234567", ""),
        ("12,34,567", "1234567", ""), ("1 234,5", "1234.5", ""), ("12\u202f345,6", "12345.6", ""),
        ("1\u2009234", "1234", ""), ("1'234.50", "1234.5", ""), ("1\u2019234", "1234", ""),
        ("0,125", "0.125", ""), ("1234,567", "1234.567", ""), ("1,2505", "1.2505", ""),
        ("1.5E-3", "0.0015", ""), ("\u22123", "-3", ""), ("\u20133", "-3", ""), ("(42)", "-42", ""),
        ("100-", "-100", ""), ("5.-", "5", ""), ("5,-", "5", ""), ("\uff11\uff12\uff0e\uff15", "12.5", ""),
        ("\u0663\u066b\u0665", "3.5", ""),
        ("12 %", "12", "%"), ("12\uff05", "12", "%"), ("€ 3,50", "3.5", "EUR"), ("3,50€", "3.5", "EUR"),
        ("$1,200.00", "1200", "USD"), ("-$5", "-5", "USD"), ("($5)", "-5", "USD"),
        ("12.5 USD", "12.5", "USD"),
        ("CHF 1'234.50", "1234.5", "CHF"), ("12 kg", "12", "kg"), ("12KG", "12", "kg"),
        ("3.5cm", "3.5", "cm"),
        ("5 mg/dL", "5", "mg/dL"), ("25 °C", "25", "°c"), ("3 m²", "3", "m2"),
        ("12:30", "45000", CLOCK), ("1:02:03.5", "3723.5", CLOCK),
    ],
)  # fmt: skip
def test_a_number_shows_its_value_and_unit(text: str, value: str, unit: str) -> None:
    number = parse_number(text)
    assert number is not None
    assert (number.point, number.comma, number.unit) == (Decimal(value), Decimal(value), unit)


@pytest.mark.parametrize(
    "text",
    [
        "", "abc", "1-2", "0x10", "12.03.2024", "10.0.0.1", "1.2.3", "(12", "--5", "%", "kg", "A12", "C34.1",
        "1/2", "+49 30 1234567", "030 123", "1,234,5", "12,3,456", "nan", "inf", "<5", "1 23", "9" * 100,
        "12:75",
    ],
)  # fmt: skip
def test_other_text_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(("text", "point", "comma"), [("1,250", 1250, 1.25), ("1.250", 1.25, 1250)])
def test_the_column_decides_what_a_text_alone_cannot_tell(text: str, point: float, comma: float) -> None:
    assert NumberForm(".").read(text) == Decimal(str(point))
    assert NumberForm(",").read(text) == Decimal(str(comma))
    assert NumberForm(",").read("3.5") == NumberForm(".").read("3,5") == Decimal("3.5")


def test_another_unit_is_refused() -> None:
    assert NumberForm(unit="kg").read("12") == 12
    with pytest.raises(UnusableCellError, match="'500 g' is in g, but the column is in kg"):
        NumberForm(unit="kg").read("500 g")
    with pytest.raises(UnusableCellError, match=r"'0\.12' has no unit, but the column is in %"):
        NumberForm(unit="%").read("0.12")
    with pytest.raises(UnusableCellError, match="mW"):  # a thousand million mW
        NumberForm(unit="MW").read("5 mW")
