"""Dates as people write them: the day or the month first, names of months, the year first."""

import re
import unicodedata
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from components.data.cells import UnusableCellError

Order = Literal["year-first", "day-first", "month-first"]

FIRST, LAST = 1000, 9999  # years; an earlier one stands for an empty cell, a later one is a slip of the pen
_CLOCK = (
    r"(?:[T ,]+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}(?:[.,][0-9]+)?))?"
    r" ?(?P<half>[AaPp])?(?:\.?[Mm]\.?)? ?(?P<zone>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_SHAPES = tuple(
    re.compile(date + _CLOCK)
    for date in (
        r"(?P<year>[0-9]{4,6})(?P<part>[./-])(?P<month>[0-9]{1,2})(?P=part)(?P<day>[0-9]{1,2})",
        r"(?P<first>[0-9]{1,2})(?P<part>[./-]) ?(?P<other>[0-9]{1,2})(?P=part) ?"
        r"(?P<year>[0-9]{4,6}|[0-9]{2})",
        r"(?P<day>[0-9]{1,2})\.?[ -]?(?P<name>[^\W\d_]{3,9})\.?,?[ -]?(?P<year>[0-9]{4,6}|[0-9]{2})",
        r"(?P<name>[^\W\d_]{3,9})\.? (?P<day>[0-9]{1,2})(?:st|nd|rd|th)?,? (?P<year>[0-9]{4,6})",
        r"(?P<year>[0-9]{4,6})[年년] ?(?P<month>[0-9]{1,2})[月월] ?(?P<day>[0-9]{1,2})[日일]",
    )
)
_MONTHS = (
    *("jan", "feb", "mar|mär|maer", "apr", "may|mai", "jun", "jul"),
    *("aug", "sep", "oct|okt", "nov", "dec|dez"),
)
_TURN = 69  # two digits below are of this century
_LONGEST = 60  # characters


def is_date(text: str) -> bool:
    """Return True for text in the shape of a date, whether or not the date exists."""
    return _match(text) is not None


def has_zone(text: str) -> bool:
    """Return True for a date whose text names its time zone."""
    match = _match(text)
    return match is not None and match["zone"] is not None


def order_of(text: str) -> tuple[Order | None, Order | None]:
    """Find the order of day and month: the one that the text shows, and the usual one of its form.

    Both are None where the order does not matter, as in ISO 8601.
    """
    match = _match(text)
    if match is None or "first" not in match.re.groupindex:
        return None, None
    first, other = int(match["first"]), int(match["other"])
    shown: Order | None = (
        "day-first" if first > 12 >= other else "month-first" if other > 12 >= first else None
    )
    return shown, "month-first" if match["part"] == "/" else "day-first"


@lru_cache(4096)  # dates come again and again
def read_date(text: str, order: Order) -> str:
    """Spell a date in ISO 8601: in UTC, without the zone; of midnight the day alone.

    Args:
        text: A date, with or without the time of day. One without a zone is in UTC.
        order: Order of day and month where both are numbers and the year is last; with ``year-first`` the
            text has to show it.

    Raises:
        UnusableCellError: If it is no date, or one that does not exist, or not of the years 1000 to 9999.
    """
    match = _match(text)
    if match is None:
        raise UnusableCellError(f"{text[:60]!r} is not a date")
    parts: dict[str, Any] = {
        "hour": None,
        "minute": None,
        "second": None,
        "half": None,
        "zone": None,
        **match.groupdict(),
    }
    if "first" in parts:
        shown, _ = order_of(text)
        if order == "year-first" and shown is None:
            raise UnusableCellError(
                f"{text[:60]!r} has the day or the month first, other dates have the year first"
            )
        turned = (shown if order == "year-first" else order) == "month-first"
        parts["day"], parts["month"] = (
            parts["other" if turned else "first"],
            parts["first" if turned else "other"],
        )
    elif "name" in parts:
        parts["month"] = str(_month(parts["name"]))
    year = int(parts["year"])
    if len(parts["year"]) == 2:
        year += 2000 if year < _TURN else 1900
    if not FIRST <= year <= LAST:
        raise UnusableCellError(f"{text[:60]!r} is not a date of the years {FIRST} to {LAST}")
    hour = int(parts["hour"] or 0)
    if half := (parts["half"] or "").lower():
        hour = hour % 12 + (12 if half == "p" else 0)
    second = (parts["second"] or "00").replace(",", ".")[:9]
    zone = (parts["zone"] or "").upper().replace("UTC", "Z").replace("GMT", "Z")
    day = f"{year}-{int(parts['month']):02}-{int(parts['day']):02}"
    try:
        moment = datetime.fromisoformat(f"{day}T{hour:02}:{parts['minute'] or '00'}:{second}{zone}")
        moment = moment.astimezone(UTC).replace(tzinfo=None) if zone else moment
    except (ValueError, OverflowError):
        raise UnusableCellError(f"{text[:60]!r} is a date that does not exist") from None
    word = moment.isoformat()
    return word.removesuffix("T00:00:00") if "." not in word else word.rstrip("0")


@lru_cache(4096)
def _match(text: str) -> re.Match[str] | None:
    if len(text) > _LONGEST:
        return None
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    matches = (shape.fullmatch(text.strip()) for shape in _SHAPES)
    return next((match for match in matches if match and _named(match)), None)


def _named(match: re.Match[str]) -> bool:
    """Return False where a word stands that is the name of no month."""
    return "name" not in match.re.groupindex or _month(match["name"]) > 0


def _month(name: str) -> int:
    """Number of a month by its name, 0 for another word."""
    letters = name.casefold()
    return next((number for number, known in enumerate(_MONTHS, 1) if re.match(known, letters)), 0)
