"""Periods and time zones, as configuration files write them."""

import re
from zoneinfo import ZoneInfo

_SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}
_PERIOD = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?[hdw]")


def seconds(duration: str) -> float:
    """Convert a period to seconds; a day has 24 hours.

    Example:
        >>> seconds("1.5d")
        129600.0
    """
    return float(duration[:-1]) * _SECONDS[duration[-1]]


_LIMIT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([smhd])")
_LIMIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def limit_seconds(limit: str) -> float:
    """Convert a time limit to seconds.

    Raises:
        ValueError: If it is none.

    Example:
        >>> limit_seconds("1.5m")
        90.0
    """
    match = _LIMIT.fullmatch(limit)
    if match is None or not float(match[1]):
        raise ValueError(f"{limit!r} is not a time in s, m, h or d, such as 90s, 10m or 2h")
    return float(match[1]) * _LIMIT_SECONDS[match[2]]


def is_duration(text: str) -> str:
    """Check the text of a period and return it.

    Raises:
        ValueError: If it is none.
    """
    if not _PERIOD.fullmatch(text):
        raise ValueError(f"{text!r} is not a period in hours, days or weeks, such as 36h, 14d or 4w")
    return text


def is_long(text: str) -> str:
    """Check that a period is longer than nothing, and return it.

    Raises:
        ValueError: If it is not.
    """
    if not seconds(is_duration(text)):
        raise ValueError(f"{text!r} is no time at all")
    return text


def time_zone(name: str) -> str:
    """Check the name of a time zone and return it.

    Raises:
        ValueError: If there is none of that name.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone; expected one such as UTC or Europe/Vienna") from error
    return name
