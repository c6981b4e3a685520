"""Values of table cells: numbers, truth, moments and categories."""

import math
import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

import numpy as np

MISSING_WORDS = frozenset(
    {"", "-", "--", "?", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "missing", "unknown"}
)
TRUE_WORDS = frozenset({"true", "t", "yes", "y", "on", "1", "1.0"})
FALSE_WORDS = frozenset({"false", "f", "no", "n", "off", "0", "0.0"})
DATE_FORMATS = (
    "iso",
    *("%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"),
    *("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S"),
    *("%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S"),
    *("%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S"),
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
)
_SPACES = re.compile(r"[\s'_\u00a0\u202f]")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_EUROPEAN = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d*|[+-]?\d{1,3}(\.\d{3}){2,}|[+-]?\d*,\d+")
_PLAIN = re.compile(r"[+-]?\d+\.?\d*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def to_number(value: Any) -> float | None:
    """A finite number; None for anything else.

    White space and apostrophes within are ignored. ``1,234.5`` and ``1.234,5`` are the same number,
    ``3,5`` is three and a half, ``1,234`` is a thousand and more.
    """
    if value is None:
        return None
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return _finite(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return _finite(value)
    text = _SPACES.sub("", str(value)).replace("\u2212", "-")
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    elif _EUROPEAN.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    return _finite(text)


def to_boolean(value: Any) -> bool | None:
    """Truth by the usual words; None for anything else."""
    word = str(value).strip().lower()
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None


def to_datetime(value: Any, format: str) -> datetime | None:
    """A moment without zone, by ISO 8601 (``iso``) or a strptime format; None for anything else."""
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    else:
        try:
            text = str(value).strip()
            moment = datetime.fromisoformat(text) if format == "iso" else datetime.strptime(text, format)
        except ValueError:
            return None
    if moment != moment:  # pandas' NaT
        return None
    try:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except OverflowError:  # beyond the years 1 to 9999
        return None


def best_format(values: Iterable[Any]) -> str:
    """Format that most of the first cells have; of :data:`DATE_FORMATS` the first where several have."""
    filled = islice((value for value in values if not is_missing(value)), 10_000)
    counts = Counter(value if isinstance(value, date) else str(value) for value in filled)
    return max(
        DATE_FORMATS,
        key=lambda form: sum(n for value, n in counts.items() if to_datetime(value, form) is not None),
    )


def is_missing(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or str(value).strip().lower() in MISSING_WORDS
    )


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None
