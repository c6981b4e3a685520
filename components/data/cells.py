"""One cell of a manifest, of whatever type its source has, as text or as the path of a media file."""

import json
import math
import re
import unicodedata
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from components.data.files.location import resolve
from components.data.files.policy import OutsideError, policy, require_inside
from components.data.limits import MOST_CELL, OversizeCell
from components.errors import DataError
from components.storage.digest import digest_bytes


class UnusableCellError(ValueError):
    """A cell of a row cannot be used; the row goes to quarantine with this reason."""


class NotUnicodeError(UnusableCellError):
    """A cell holds a lone surrogate: half of a character, which no encoding can write."""


def text_of(value: Any) -> str | None:
    """Convert a cell to text.

    Numbers become text as ``repr`` writes them, booleans ``true`` and ``false``, dates ISO 8601, durations
    seconds, lists and mappings JSON.

    Args:
        value: The cell.

    Returns:
        The text; None for an empty cell, and for text that is only white space.

    Raises:
        TypeError: If the cell holds bytes.
        NotUnicodeError: If the text holds a lone surrogate.
    """
    if type(value) is str:  # the first test, as nearly all cells are text
        if not value or value.isspace():
            return None
        if len(value) > MOST_CELL:
            raise UnusableCellError(str(OversizeCell(len(value))))
        return value if value.isascii() else whole(value)
    if isinstance(value, np.float16 | np.float32):  # item() would show digits that the cell never had
        value = float(str(value))
    elif isinstance(value, np.generic):
        value = value.item()
    match value:
        case None:
            return None
        case str():
            return text_of(str(value))
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return None if math.isnan(value) else repr(value)
        case datetime() | date() | time():
            return value.isoformat() if value == value else None  # pandas' NaT differs from itself
        case timedelta():
            return repr(value.total_seconds())
        case Decimal():
            return None if value.is_nan() else str(value)
        case OversizeCell():
            raise UnusableCellError(str(value))
        case bytes() | bytearray() | memoryview():
            raise TypeError("bytes")
        case list() | tuple() | dict() | np.ndarray():
            plain = value.tolist() if isinstance(value, np.ndarray) else value
            return whole(json.dumps(plain, ensure_ascii=False, default=str)) if len(plain) else None
        case _:
            return str(value)


def whole(text: str) -> str:
    """Return the text if all of it is Unicode.

    Raises:
        NotUnicodeError: If it holds a lone surrogate; the message gives the character's index.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotUnicodeError(
            f"text that is not Unicode (a lone surrogate, character {error.start})"
        ) from None
    return text


def word_of(value: Any) -> str | None:
    """Convert a cell that names something: an id, label, split, group or table cell.

    Its spelling is one that every source gives: letters composed (Unicode NFC), no surrounding white space,
    moments in ISO 8601 (of midnight the date alone, with a zone in UTC), durations in seconds.
    The column decides the rest: see :mod:`components.data.spelling`.

    See :func:`text_of` for argument, result and errors.
    """
    text = text_of(value)
    if text is None:
        return None
    text = text.strip() if text.isascii() else unicodedata.normalize("NFC", text.strip(_OUTER))
    if len(text) >= 10 and (text[0] in "-P" or text[0].isdigit()):
        return _moment(text) or _seconds(text) or text
    return text or None


def is_moment(word: str) -> bool:
    """Return True for a date or moment as :func:`word_of` gives it."""
    return _DATE.fullmatch(word) is not None or _MOMENT.fullmatch(word) is not None


_OUTER = (
    "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u2060\ufeff"
)  # as strip(), and no width
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]+)?"
    r" ?(Z|UTC|[+-][0-9]{2}:?[0-9]{2})?"
)
_DURATIONS = (  # as pandas writes them to CSV and to JSON
    re.compile(r"(-?[0-9]+) days? \+?([0-9]{2}):([0-9]{2}):([0-9]{2}(?:\.[0-9]+)?)"),
    re.compile(r"P(-?[0-9]+)DT([0-9]+)H([0-9]+)M([0-9]+(?:\.[0-9]+)?)S"),
)


def _moment(text: str) -> str | None:
    """Spell a moment; None for text that is none."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    day, minute, second, fraction, zone = match.groups()
    fraction = (fraction or "").rstrip("0.")
    clock = minute + (second or ":00")
    zone = "+00:00" if zone in ("Z", "UTC") else zone or ""
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{zone}")
        if zone:
            return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat()}{fraction}+00:00"
    except (ValueError, OverflowError):  # such as a 31st of June
        return None
    return day if clock == "00:00:00" and not fraction else f"{day}T{clock}{fraction}"


def _seconds(text: str) -> str | None:
    """Spell a duration in seconds; None for text that is none."""
    for pattern in _DURATIONS:
        if match := pattern.fullmatch(text):
            days, hours, minutes, seconds = map(float, match.groups())
            return repr(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    return None


def media_of(value: Any, root: str, media: Path, roots: Sequence[str] = ()) -> str | None:
    """Convert a media cell to an absolute path or URL.

    Args:
        value: A path, which may be relative to ``root``; the bytes of a file; or a mapping with ``bytes``
            and ``path``, as Hugging Face datasets embed media.
        root: Folder or URL of the manifest.
        media: Folder to which embedded bytes are written, each file under its digest.
        roots: Folders and URLs, besides ``root``, whose files a cell may name.

    Returns:
        The path or URL; None for an empty cell.

    Raises:
        TypeError: If the cell's type is none of these.
        UnusableCellError: If a path holds a lone surrogate, or lies outside of the roots.
    """
    if isinstance(value, dict) and value.keys() & {"bytes", "path"}:
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, OversizeCell):
        raise UnusableCellError(str(value))
    if isinstance(value, bytes | bytearray | memoryview):
        if len(value) > policy().most_bytes:
            raise UnusableCellError(str(OversizeCell(len(value))))
        return _materialise(bytes(value), media)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    path = text_of(value)
    return allowed(root, path, roots) if path is not None else None


def allowed(root: str, path: str, roots: Sequence[str] = ()) -> str:
    """Resolve a path against ``root`` and check that it may be read.

    Args:
        root: Folder or URL of the manifest.
        path: Path or URL from a cell.
        roots: Folders and URLs, besides ``root``, whose files a cell may name.

    Returns:
        Absolute path or URL.

    Raises:
        UnusableCellError: If it lies outside of ``root``, ``roots`` and ``BRAID_DATA_ROOTS``.
    """
    try:
        return require_inside(_resolved(root, path), (root, *roots, *policy().roots))
    except OutsideError as error:
        raise UnusableCellError(str(error)) from error


def _resolved(root: str, path: str) -> str:
    """Resolve a path, without the white space around it unless a file is named so."""
    if path != path.strip(_OUTER) and Path(exact := resolve(root, path)).exists():
        return exact
    return resolve(root, path.strip(_OUTER))


def cells_as_text(
    values: Sequence[Any],
    convert: Callable[[Any], str | None],
    name: str,
    column: str,
    first: int,
    expected: str,
) -> tuple[list[str | None], list[tuple[int, str]]]:
    """Convert some cells of a column, of the types that the source gives, to text.

    Args:
        values: The cells.
        convert: Function that converts one cell, such as :func:`text_of`.
        name: Name of the manifest, for messages.
        column: Name of the column, for messages.
        first: Row number of the first cell.
        expected: Kind of cell that the column should hold, for messages.

    Returns:
        A text per cell; row and reason of each cell that cannot be used, whose text is None.

    Raises:
        DataError: If a cell's type cannot be used.
    """
    texts: list[str | None] = []
    faults: list[tuple[int, str]] = []
    for row, value in enumerate(values, start=first):
        try:
            texts.append(convert(value))
        except UnusableCellError as error:
            faults.append((row, str(error)))
            texts.append(None)
        except TypeError as error:
            raise unusable(error, name, column, row, expected) from error
    return texts, faults


def unusable(kind: Exception, name: str, column: str, row: int, wanted: str) -> DataError:
    """Return the error for a cell whose type cannot be used."""
    return DataError(f"{name}, column {column!r}, row {row}: holds {kind}; expected {wanted}")


def _materialise(data: bytes, media: Path) -> str:
    """Write a media file under its digest and return its absolute path."""
    path = (media / digest_bytes(data)).absolute()
    # Nothing is flushed to disk: a file that a crash cut short has the wrong size and is written again.
    if not path.exists() or path.stat().st_size != len(data):
        media.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
        temporary.write_bytes(data)
        temporary.replace(path)
    return str(path)
