"""Numbers as people write them: decimal mark, thousands, sign, currency, percent, unit, time of day.

A cell alone cannot say if ``1,250`` is a thousand and more, or one and a quarter; its column can.
"""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from components.data.cells import UnusableCellError

Mark = Literal[".", ","]
CLOCK = "s of h:m:s"
"""Unit of a time of day, or of a length of time that is written like one."""

_LONGEST = 80  # characters; longer text is no number
_CURRENCIES = {
    "€": "EUR", "euro": "EUR", "£": "GBP", "$": "USD", "us$": "USD", "¥": "JPY", "₹": "INR", "₽": "RUB",
    "₩": "KRW", "₺": "TRY", "₴": "UAH", "₪": "ILS", "฿": "THB", "₫": "VND", "r$": "BRL",
    "zł": "PLN", "kč": "CZK", "sfr": "CHF", "fr": "CHF", "rs": "INR",
}  # fmt: skip
_CODES = frozenset({
    "AED", "ARS", "AUD", "BGN", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EGP", "EUR", "GBP",
    "HKD", "HUF", "IDR", "ILS", "INR", "ISK", "JPY", "KRW", "MXN", "MYR", "NOK", "NZD", "PEN", "PHP", "PLN",
    "RON", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "VND", "ZAR",
})  # fmt: skip
UNITS = frozenset({
    "%", "‰", "k", "kg", "g", "mg", "μg", "t", "lb", "lbs", "oz", "km", "m", "cm", "mm", "μm", "nm", "mi",
    "ft", "in", "yd", "l", "ml", "cl", "dl", "h", "hr", "hrs", "min", "s", "sec", "ms", "d", "day", "days",
    "week", "weeks", "month", "months", "year", "years", "yr", "yrs", "kb", "mb", "gb", "tb", "b", "w",
    "kw", "mw", "v", "a", "ma", "hz", "khz", "mhz", "ghz", "pa", "hpa", "kpa", "bar", "psi", "mmhg", "j",
    "kj", "kcal", "cal", "n", "c", "f", "°c", "°f", "m2", "cm2", "km2", "ha", "m3", "km/h", "mph", "m/s",
    "mg/dl", "mmol/l", "g/l", "bpm", "px", "pt",
})  # fmt: skip
"""Units that are known, in the form of :func:`_unit` and small letters."""
KNOWN_UNITS = UNITS | {CLOCK, *_CURRENCIES.values(), *_CODES}
EXACT = frozenset({"%", "‰", CLOCK})
"""Units without which a number means something else: 12 % and 0.12."""
_MARKS = str.maketrans(
    "\u2212\u2012\u2013\uff0d\u066b\u066c\u2019\u02bc\u2032`´\u3001", "----.'''''',", "\u200e\u200f\u061c"
)
_DIGITS = r"""(?:
      [0-9]{1,3}(?:(?P<group>[ '.,_])[0-9]{3})(?:(?P=group)[0-9]{3})*  # 1 234 567
    | [0-9]{1,2}(?:(?P<lakh>,)[0-9]{2})+,[0-9]{3}                       # 12,34,567
    | [0-9]+
    |
)"""
_NUMBER = re.compile(
    rf"""(?P<open>\()?\s*(?P<sign>[+-])?\s*(?P<before>(?:[^\W\d_]{{1,4}}\.?)?[^\w\s.,()+%'-]?)\s*(?P<inner>[+-])?\s*
    (?P<digits>{_DIGITS})(?:(?P<mark>[.,])(?P<fraction>[0-9]*))?(?P<exponent>[eE][+-]?[0-9]{{1,4}})?
    \s*(?P<after>[^\d\s()+.,'-][^\d\s()+]{{0,11}}[23]?(?:\s[^\W\d_]{{1,9}})?)?\s*(?P<behind>-)?\s*(?P<close>\))?""",
    re.VERBOSE,
)
_PLAIN = re.compile(r"-?[0-9]+(?:\.(?:[0-9]{1,2}|[0-9]{4,}))?")  # as most are written, and not to be mistaken
_TIME = re.compile(r"(-?)([0-9]{1,4}):([0-5][0-9])(?::([0-5][0-9](?:[.,][0-9]+)?))?")


@dataclass(frozen=True)
class Number:
    """A number as it is written.

    Attributes:
        point: Value if its decimal mark is the point.
        comma: Value if it is the comma; the same unless the text alone cannot tell.
        mark: Decimal mark that the text shows; None where it shows none.
        unit: Unit or currency; "" without one.
    """

    point: Decimal
    comma: Decimal
    mark: Mark | None
    unit: str


@dataclass(frozen=True)
class NumberForm:
    """Form of the numbers of a column.

    Attributes:
        decimal: Decimal mark, where a text alone cannot tell.
        unit: Unit of the column; "" without one.
    """

    decimal: Mark = "."
    unit: str = ""

    def takes(self, plain: str) -> bool:
        """Return True if a number of digits and points means here what it means to a computer."""
        return self.unit not in EXACT and (self.decimal == "." or "." not in plain)

    def read(self, text: str) -> Decimal | None:
        """Read a number; None for text that is none.

        Raises:
            UnusableCellError: If it has another unit than the column.
        """
        number = parse_number(text)
        if number is None:
            return None
        if number.unit != self.unit and (number.unit or self.unit in EXACT):
            wanted = f"is in {self.unit}" if self.unit else "has no unit"
            own = f"is in {number.unit}" if number.unit else "has no unit"
            raise UnusableCellError(f"{text!r} {own}, but the column {wanted}")
        return number.comma if self.decimal == "," else number.point


def parse_number(text: str) -> Number | None:
    """Parse a number as people write it; None for text that is none.

    White space, apostrophes, points or commas may part thousands; the minus may be any dash, stand behind the
    number, or be brackets around it. A percentage keeps its digits: ``12 %`` is 12.
    """
    if len(text) > _LONGEST:
        return None
    if _PLAIN.fullmatch(text):
        value = Decimal(text)
        return Number(value, value, "." if "." in text else None, "")
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_MARKS)
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    text = " ".join(text.split())
    if match := _TIME.fullmatch(text):
        sign, hours, minutes, seconds = match.groups()
        value = (int(hours) * 60 + int(minutes)) * 60 + Decimal((seconds or "0").replace(",", "."))
        value = -value if sign else value
        return Number(value, value, None, CLOCK)
    match = _NUMBER.fullmatch(text)
    if (
        match is None
        or not (match["digits"] or match["fraction"])
        or bool(match["open"]) != bool(match["close"])
    ):
        return None
    behind = match["behind"] if match["mark"] is None or match["fraction"] else None  # 5.- is five whole
    signs = [sign for sign in (match["sign"], match["inner"], behind, match["open"]) if sign]
    unit = _unit(match["before"], match["after"])
    if unit is None or len(signs) > 1:
        return None
    return _valued(match, unit, -1 if signs and signs[0] != "+" else 1)


def _valued(match: re.Match[str], unit: str, sign: int) -> Number | None:
    """Give the digits their values; None where their groups are those of no number."""
    digits, fraction, mark, exponent = match["digits"], match["fraction"], match["mark"], match["exponent"]
    group = match["group"] or match["lakh"]
    parts = digits.split(group) if group else [digits]
    shown: Mark | None = None if mark is None else "," if mark == "," else "."
    if group in (",", ".") and mark is None and len(parts) == 2:
        # 1,250 may be either, but thousands neither begin with a zero nor have an exponent.
        tens = sign * Decimal(f"{parts[0]}.{parts[1]}{exponent or ''}")
        if parts[0][0] == "0" or exponent:
            return Number(tens, tens, "," if group == "," else ".", unit)
        thousands = sign * Decimal("".join(parts))
        return Number(*((thousands, tens) if group == "," else (tens, thousands)), None, unit)
    if group is not None:
        if mark == group or parts[0][0] == "0":
            return None
        shown = shown or {",": ".", ".": ","}.get(group)  # type: ignore[assignment]
    value = sign * Decimal(f"{''.join(parts) or '0'}.{fraction or '0'}{exponent or ''}")
    return Number(value, value, shown, unit)


def _unit(before: str, after: str | None) -> str | None:
    """Name the unit by what stands around the digits; None where that is no unit."""
    if before:
        return None if after else _currency(before)
    if not after:
        return ""
    folded = after.casefold()
    # MW and mW are not one unit, KG and kg are.
    named = folded if folded in UNITS and after[0] not in "mM" else after
    known = _currency(after) or named
    return known if known in UNITS or any(map(str.isalpha, known)) else None


def _currency(word: str) -> str | None:
    word = word.strip().rstrip(".")
    known = _CURRENCIES.get(word.casefold())
    return known or (word.upper() if word.upper() in _CODES else None)
