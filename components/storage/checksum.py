"""Checksums of files: against damage, not against forgery; eight times as fast as a digest."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, BinaryIO

from xxhash import xxh3_128


def checksum_file(path: Path) -> str:
    """XXH3 of a file's bytes, 128 bits in hexadecimal; read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxh3_128).hexdigest()


class SummedFile(io.BufferedIOBase):
    """Passes on what is written, and takes its checksum on the way.

    Attributes:
        path: Where the bytes are.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._state = file, xxh3_128()
        self.path = Path(file.name)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._state.update(data)
        return self._file.write(data)

    def checksum(self) -> str:
        """As :func:`checksum_file` of all that was written."""
        return self._state.hexdigest()
