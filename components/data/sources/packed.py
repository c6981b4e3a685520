"""Files of text lines, possibly compressed: opened, and read in lines of bounded length."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, AnyStr, Protocol, TypeVar

import fsspec
from fsspec.utils import infer_compression

from components.data.files.location import filesystem, plain
from components.errors import DataError

LONGEST_LINE = 2**26  # letters: a cell or a JSON line of 64 MiB is a whole library, or a bomb

UNREADABLE = (
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
)
"""What reading a damaged or cut compressed file raises; the last two of odd or locked ZIP archives."""


Line = TypeVar("Line", str, bytes, covariant=True)


class _Lines(Protocol[Line]):
    def readline(self, size: int = -1, /) -> Line: ...


def opened(path: str) -> Any:
    """The bytes of a file, decompressed by its ending, as a context."""
    system, inner = filesystem(path)
    return fsspec.core.OpenFile(system, inner, "rb", compression=infer_compression(plain(path)))


def bounded(file: _Lines[AnyStr], name: str) -> Iterator[AnyStr]:
    """Lines of a file, none of which fills memory.

    Raises:
        DataError: If one is longer than ``LONGEST_LINE``.
    """
    number = 1
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise DataError(
                f"{name}, line {number}: longer than {LONGEST_LINE:,} letters; no text is, so the file is "
                "damaged or a decompression bomb"
            )
        yield line
        number += 1
