"""Content of a media cell."""

from pathlib import Path

from components.data.files.location import read_bytes
from components.errors import DataError

MediaValue = str | Path | bytes
_LONGEST = 400  # characters of a path; longer ones are shortened in messages


def media_bytes(value: MediaValue) -> bytes:
    """Return the content of a file.

    Args:
        value: Path, URL, or the content itself.

    Raises:
        DataError: If the file cannot be read.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    try:
        return read_bytes(str(value))
    except OSError as error:
        raise DataError(f"{named(value)}: cannot be read: {error.strerror or error}") from error


def named(value: MediaValue) -> str:
    """Return a short name of a media cell for messages."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:40]}... ({len(text)} characters)"
