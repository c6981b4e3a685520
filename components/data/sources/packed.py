"""Text files, possibly compressed, read in lines of bounded length."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any, AnyStr, Protocol, TypeVar

import pyarrow as pa

from components.data.files.location import filename, filesystem
from components.data.limits import FREE_UNPACKED, MOST_RATIO
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


def _only_member(file: IO[bytes]) -> IO[bytes]:
    """Open the one file in a ZIP.

    Raises:
        DataError: If it holds several, as one of them would be chosen and the others lost.
    """
    archive = zipfile.ZipFile(file)
    members = [
        name
        for name in archive.namelist()
        if not name.endswith("/") and not name.startswith("__MACOSX/") and not filename(name).startswith(".")
    ]
    if len(members) != 1:
        raise DataError(
            f"a ZIP with {len(members)} files ({', '.join(members[:5])}); expected one table. Unpack it"
        )
    return archive.open(members[0])


_OPENERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": lambda file: pa.CompressedInputStream(file, "zstd"),
    b"PK\x03\x04": _only_member,
}
"""Function that opens a compressed file, by the bytes with which such a file begins."""

Line = TypeVar("Line", str, bytes, covariant=True)


class _Lines(Protocol[Line]):
    def readline(self, size: int = -1, /) -> Line: ...


@contextmanager
def open_unpacked(path: str) -> Iterator[Any]:
    """Open a file in binary mode, decompressed as its first bytes say; all compressed text passes here.

    Raises:
        DataError: If it is a ZIP of several files.
    """
    system, inner = filesystem(path)
    with ExitStack() as stack:
        file = stack.enter_context(system.open(inner, "rb"))
        head = file.read(max(map(len, _OPENERS)))
        file.seek(0)
        for magic, opener in _OPENERS.items():
            if head.startswith(magic):
                try:
                    unpacked = stack.enter_context(opener(file))
                except DataError as error:
                    raise DataError(f"{filename(path)}: {error}") from None
                file = stack.enter_context(io.BufferedReader(_BoundedReader(unpacked, file, filename(path))))
                break
        yield file


class _BoundedReader(io.RawIOBase):
    """Decompressed file that ends with an error where it unfolds to more than a table ever does.

    Args:
        unpacked: The decompressed file.
        packed: The file that it is read from, whose position says how much of it was needed so far.
        name: Name for messages.
    """

    def __init__(self, unpacked: Any, packed: Any, name: str) -> None:
        self._unpacked, self._packed, self._name, self._count = unpacked, packed, name, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes.

        Raises:
            DataError: If there are too many of them.
        """
        data = self._unpacked.read(len(buffer))
        buffer[: len(data)] = data
        self._count += len(data)
        if self._count > max(FREE_UNPACKED, MOST_RATIO * self._packed.tell()):
            raise DataError(
                f"{self._name}: unfolds to more than {MOST_RATIO} times its size (so far to "
                f"{self._count / 2**20:,.0f} MB), as a decompression bomb does. If it is none, unpack it"
            )
        return len(data)


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
