"""Values of table cells: numbers, truth, moments and categories."""

import math
import re
from datetime import UTC, date, datetime
from typing import Any

from components.data.cells import UnusableCellError
from components.data.numbers import NumberForm
from components.data.spelling import EMPTY, VAGUE

TRUE_WORDS = frozenset({"true", "t", "yes", "y", "on", "1", "1.0"})
FALSE_WORDS = frozenset({"false", "f", "no", "n", "off", "0", "0.0"})
ISO = "iso"
_PLAIN = re.compile(r"[+-]?[0-9]+\.?[0-9]*")


def to_number(value: Any) -> float | None:
    """A finite number; None for anything else.

    Text that no rule of its column has read is read with a decimal point where it may be either.
    """
    if value is None:
        return None
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        try:
            value = NumberForm().read(value)
        except UnusableCellError:
            return None
    try:
        number = math.nan if value is None else float(value)
    except (OverflowError, TypeError, ValueError):  # an integer of hundreds of digits, a date
        return None
    return number if math.isfinite(number) else None


def to_boolean(value: Any) -> bool | None:
    """Truth by the usual words; None for anything else."""
    word = str(value).strip().lower()
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None


def to_datetime(value: Any, format: str = ISO) -> datetime | None:
    """A moment in UTC without zone; None for anything else.

    Args:
        value: A moment, or text in ISO 8601.
        format: strptime format of other text, as a model of an earlier braid learned it.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, datetime):
        try:
            text = str(value).strip()
            value = datetime.fromisoformat(text) if format == ISO else datetime.strptime(text, format)
        except ValueError:
            return None
    if value != value:  # pandas' NaT
        return None
    try:
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    except OverflowError:  # beyond the years 1 to 9999
        return None


def is_missing(value: Any) -> bool:
    """Return True for an empty cell, and for a word that says so."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    word = str(value).strip()
    return not word or word in EMPTY or word.lower() in VAGUE
