"""Passwords and keys do not reach logs, records, reports and messages."""

from __future__ import annotations

import logging
import os
import re
import traceback
from typing import Any

_HIDDEN = "***"
_IN_ADDRESS = re.compile(r"(?P<before>\b[a-z][\w+.-]*://[^\s:/@]*):[^\s/@]+@", re.IGNORECASE)
_LOGIN = re.compile(r"(?P<scheme>^[a-z][\w+.-]*://)[^\s/@]+@", re.IGNORECASE)
_LONG = r"[\w.%-]*(?:password|passwd|token|secret|signature|credential|api[_-]?key|access[_-]?key)[\w.%-]*"
_SHORT = r"(?:[\w.%-]*[-_.])?(?:sig|auth|key)(?:[-_.][\w.%-]*)?"  # whole words: a design is no signature
_IN_QUERY = re.compile(rf"(?P<before>[?&](?:{_LONG}|{_SHORT})=)[^&\s#'\"]+", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(?:PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL|API_?KEY|ACCESS_?KEY|AUTH_STRING)", re.I
)
_SHORTEST = 6  # letters; a shorter value of a variable stands in ordinary text by chance


def redacted(text: str) -> str:
    """The text without passwords in addresses, keys in their queries, and values of secret variables.

    A variable of the environment is secret by its name: ``..._PASSWORD``, ``..._TOKEN``, ``..._SECRET`` and
    the like.
    """
    for value in _secret_values():
        text = text.replace(value, _HIDDEN)
    text = _IN_ADDRESS.sub(rf"\g<before>:{_HIDDEN}@", text)
    return _IN_QUERY.sub(rf"\g<before>{_HIDDEN}", text)


def without_login(address: str) -> str:
    """An address without user and password."""
    return _LOGIN.sub(r"\g<scheme>", address)


def without_secrets(value: Any) -> Any:
    """The same value with every text in it redacted, in mappings and lists too."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_secrets(inner) for inner in value)
    return value


def guard_logs() -> None:
    """Redact what this process logs from now on, its tracebacks too; once is enough."""
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def redacting(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = make(*arguments, **options)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # the handler reports it, as it would have
            return record
        hidden = redacted(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        if record.exc_info and record.exc_info[1] is not None:
            shown = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
            hidden = redacted(shown)
            if hidden != shown:
                record.exc_text = hidden  # what formatters show in the place of their own
        return record

    redacting.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(redacting)


def _secret_values() -> list[str]:
    """Values of secret variables, the longest first."""
    values = {
        part
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name)
        for part in (value, value.partition(":")[2])  # user:password
        if len(part) >= _SHORTEST
    }
    return sorted(values, key=len, reverse=True)
