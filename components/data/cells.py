"""One cell of a manifest, of whatever type its source has, as text or as the path of a media file."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from components.data.files.location import resolve
from components.data.files.policy import OutsideError, confined, policy
from components.errors import DataError
from components.storage.digest import digest_bytes


class UnusableCellError(ValueError):
    """A cell of a row cannot be used; the row is left out with this reason."""


class NotUnicodeError(UnusableCellError):
    """A cell holds half of a letter (a lone surrogate), which no encoding has."""


def text_of(value: Any) -> str | None:
    """Text of a cell; None for an empty one.

    Numbers as ``repr`` writes them, truth as ``true`` and ``false``, dates in ISO 8601, durations in
    seconds, lists and mappings as JSON. Text that is only white space is empty.

    Raises:
        TypeError: If the cell holds bytes.
        NotUnicodeError: If it holds a lone surrogate.
    """
    if type(value) is str:  # nearly all cells of nearly all sources
        if not value or value.isspace():
            return None
        return value if value.isascii() else whole(value)
    if isinstance(value, np.generic):
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
        case bytes() | bytearray() | memoryview():
            raise TypeError("bytes")
        case list() | tuple() | dict() | np.ndarray():
            plain = value.tolist() if isinstance(value, np.ndarray) else value
            return whole(json.dumps(plain, ensure_ascii=False, default=str)) if len(plain) else None
        case _:
            return str(value)


def whole(text: str) -> str:
    """The text, all of which is Unicode.

    Raises:
        NotUnicodeError: If it is not, naming the character.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotUnicodeError(
            f"text that is not Unicode (a lone surrogate, character {error.start})"
        ) from None
    return text


def word_of(value: Any) -> str | None:
    """Like :func:`text_of` without surrounding white space: ids, labels, splits, groups, table cells."""
    text = text_of(value)
    return text.strip() if text is not None else None


def media_of(value: Any, root: str, media: Path, roots: Sequence[str] = ()) -> str | None:
    """Absolute path or URL of a media cell; None for an empty one.

    Args:
        value: A path (relative ones start from ``root``), the bytes of a file, or a mapping with
            ``bytes`` and ``path`` as Hugging Face data sets embed media.
        root: Folder or URL of the manifest.
        media: Folder to which embedded bytes are written, each under its digest.
        roots: Folders and URLs, besides ``root``, whose files a cell may name.

    Raises:
        TypeError: If the cell is none of these.
        UnusableCellError: If a path holds a lone surrogate, or leads out of the roots.
    """
    if isinstance(value, dict) and value.keys() & {"bytes", "path"}:
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, bytes | bytearray | memoryview):
        return _materialise(bytes(value), media)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    path = word_of(value)
    return allowed(root, path, roots) if path is not None else None


def allowed(root: str, path: str, roots: Sequence[str] = ()) -> str:
    """Absolute path or URL of a cell, which may be relative to ``root``.

    Raises:
        UnusableCellError: If it leads out of ``root``, ``roots`` and those that the environment declares.
    """
    try:
        return confined(resolve(root, path), (root, *roots, *policy().roots))
    except OutsideError as error:
        raise UnusableCellError(str(error)) from error


def unusable(kind: Exception, name: str, column: str, row: int, wanted: str) -> DataError:
    """The error for a cell of the wrong type."""
    return DataError(f"{name}, column {column!r}, row {row}: holds {kind}; expected {wanted}")


def _materialise(data: bytes, media: Path) -> str:
    """Write a file under its digest. Not flushed to disk, as it is made again where its size is wrong."""
    path = (media / digest_bytes(data)).absolute()
    if not path.exists() or path.stat().st_size != len(data):
        media.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
        temporary.write_bytes(data)
        temporary.replace(path)
    return str(path)
