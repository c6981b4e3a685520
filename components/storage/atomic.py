"""Writes that are whole or absent: a temporary file beside, flushed to disk, then renamed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from xxhash import xxh3_128


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    The temporary keeps the file's ending, so that writers that go by it work.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp{path.suffix}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


@contextmanager
def named_by_checksum(folder: Path, suffix: str) -> Iterator[SummedFile]:
    """A file to write to; if the block succeeds, it is in ``folder`` under the checksum of its bytes.

    Its ``path`` says where, after the block.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{uuid.uuid4().hex}.tmp{suffix}"
    try:
        with temporary.open("wb") as raw:
            file = SummedFile(raw)
            yield file
            raw.flush()
            os.fsync(raw.fileno())
        file.path = folder / f"{file.checksum()}{suffix}"
        temporary.replace(file.path)
        _flush(folder)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON-serialisable value to ``path`` atomically."""
    write_bytes(path, json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
