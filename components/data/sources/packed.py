"""Text files, possibly compressed, read in lines of bounded length."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, AnyStr, Protocol, TypeVar

import fsspec
from fsspec.utils import infer_compression

from components.data.files.location import filesystem, plain
from components.errors import DataError

LONGEST_LINE = 2**26  # characters; no real cell is longer, but a decompression bomb is

UNREADABLE = (
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
)
"""Errors that a damaged or truncated compressed file raises; the last two come from odd or locked ZIPs."""


Line = TypeVar("Line", str, bytes, covariant=True)


class _Lines(Protocol[Line]):
    def readline(self, size: int = -1, /) -> Line: ...


def open_unpacked(path: str) -> Any:
    """Open a file in binary mode, decompressed as its suffix says; the result is a context manager."""
    system, inner = filesystem(path)
    return fsspec.core.OpenFile(system, inner, "rb", compression=infer_compression(plain(path)))


def bounded_lines(file: _Lines[AnyStr], name: str) -> Iterator[AnyStr]:
    """Read the lines of a file, and stop at one that would fill memory.

    Args:
        name: Name of the file, for messages.

    Raises:
        DataError: If a line is longer than ``LONGEST_LINE``.
    """
    number = 1
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise DataError(
                f"{name}, line {number}: longer than {LONGEST_LINE:,} characters; no text is, so the file is "
                "damaged or a decompression bomb"
            )
        yield line
        number += 1
