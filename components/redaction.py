"""Removal of passwords and keys from logs, records, reports and messages."""

import logging
import os
import re
import traceback
from typing import Any
from urllib.parse import quote, quote_plus

_HIDDEN = "***"
# A password may have any sign, @ and / too, so it ends at the last @ that follows; a port is none.
_PASSWORD = r":(?!\d{1,5}(?:[/?#\s]|$))[^\s'\"<>]*@"
_IN_ADDRESS = re.compile(rf"(?P<before>\b[a-z][\w+.-]*://[^\s:/@]*){_PASSWORD}", re.IGNORECASE)
_LOGIN = re.compile(rf"(?P<scheme>^[a-z][\w+.-]*://)(?:[^\s:/@]*{_PASSWORD}|[^\s/]*@)", re.IGNORECASE)
_LONG = r"[\w.%-]*(?:password|passwd|token|secret|signature|credential|api[_-]?key|access[_-]?key)[\w.%-]*"
_SHORT = r"(?:[\w.%-]*[-_.])?(?:sig|auth|key)(?:[-_.][\w.%-]*)?"  # whole words, so that "design" stays
_IN_QUERY = re.compile(rf"(?P<before>[?&](?:{_LONG}|{_SHORT})=)[^&\s#'\"]+", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"(?:PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL|API_?KEY|ACCESS_?KEY|AUTH_STRING)", re.I
)
_SHORTEST = 6  # characters; shorter values of variables also occur in ordinary text
_FILLED = "BRAID_FILLED_VARIABLES"
_ORDINARY = frozenset({"HOME", "PWD", "USER", "LOGNAME", "HOSTNAME", "TMPDIR"})


def hide_variable(name: str) -> None:
    """Treat a variable as a secret, in this process and those that it starts; its name may be any."""
    known = os.environ.get(_FILLED, "").split(",")
    if name not in known and name not in _ORDINARY:
        os.environ[_FILLED] = ",".join(filter(None, [*known, name]))


def redacted(text: str) -> str:
    """Return a text with ``***`` for each secret.

    Secrets are passwords in addresses, keys in the queries of addresses, and values of two kinds of
    environment variables: those that options name as ``${NAME}``, and those that are named like
    ``..._PASSWORD``, ``..._TOKEN`` or ``..._SECRET``.
    """
    for value in _secret_values():
        text = text.replace(value, _HIDDEN)
    text = _IN_ADDRESS.sub(rf"\g<before>:{_HIDDEN}@", text)
    return _IN_QUERY.sub(rf"\g<before>{_HIDDEN}", text)


def without_login(address: str) -> str:
    """Return an address without user and password."""
    return _LOGIN.sub(r"\g<scheme>", address)


def without_secrets(value: Any) -> Any:
    """Return the value with every text in it redacted, in mappings and lists too."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_secrets(inner) for inner in value)
    return value


def guard_logs() -> None:
    """Redact all messages and tracebacks that this process logs from now on; repeated calls do nothing."""
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def redacting(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = make(*arguments, **options)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # as usual, the handler reports the wrong arguments
            return record
        hidden = redacted(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        if record.exc_info and record.exc_info[1] is not None:
            shown = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
            hidden = redacted(shown)
            if hidden != shown:
                record.exc_text = hidden  # formatters show this text instead of their own
        return record

    redacting.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(redacting)


def _secret_values() -> list[str]:
    """Return the values of secret variables, the longest first."""
    filled = os.environ.get(_FILLED, "").split(",")
    values = {
        spelling
        for name, value in os.environ.items()
        if name in filled or _SECRET_NAME.search(name)
        for part in (value, "" if "://" in value else value.partition(":")[2])  # user:password
        for spelling in (part, quote(part, safe=""), quote_plus(part))
        if len(part) >= _SHORTEST
    }
    return sorted(values, key=len, reverse=True)
