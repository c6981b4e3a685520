"""The bytes of a media cell."""

from __future__ import annotations

from pathlib import Path

from components.data.files.location import read_bytes
from components.errors import DataError

MediaValue = str | Path | bytes
_LONGEST = 400  # characters of a path that is shown whole


def media_bytes(value: MediaValue) -> bytes:
    """Bytes of a file given as path, URL or the bytes themselves.

    Raises:
        DataError: If it cannot be read.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    try:
        return read_bytes(str(value))
    except OSError as error:
        raise DataError(f"{named(value)}: cannot be read: {error.strerror or error}") from error


def named(value: MediaValue) -> str:
    """What messages call a media cell."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:40]}... ({len(text)} characters)"
