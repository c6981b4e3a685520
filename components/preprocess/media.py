"""The bytes of a media cell."""

from __future__ import annotations

from pathlib import Path

from components.data.location import read_bytes
from components.errors import DataError

MediaValue = str | Path | bytes


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
        raise DataError(f"{value}: cannot be read: {error.strerror or error}") from error


def named(value: MediaValue) -> str:
    """What messages call a media cell."""
    return f"{len(value)} bytes" if isinstance(value, bytes | bytearray | memoryview) else str(value)
