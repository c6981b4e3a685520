"""Sizes of the buffers of an Arrow file, from its own numbers, before anything is decompressed.

Each compressed buffer begins with its size in memory. The positions of the buffers stand in a message before
them, a FlatBuffer (https://arrow.apache.org/docs/format/Columnar.html).
"""

import struct
from collections.abc import Iterator
from typing import Any

from components.data.limits import check_unfolded

_MAGIC = b"ARROW1\0\0"
_CONTINUED = 0xFFFFFFFF
_DICTIONARY, _ROWS = 2, 3  # types of messages that have buffers
_LONGEST = 2**26  # bytes of a message's head


def check_ipc(handle: Any, name: str) -> None:
    """Check what the compressed buffers of an Arrow file or stream unfold to; its position is 0 afterwards.

    Raises:
        DataError: If that is far more than is stored.
    """
    unfolded = stored = 0
    for memory, size in _buffers(handle):
        unfolded, stored = unfolded + memory, stored + size
        check_unfolded(unfolded, stored, name)
    handle.seek(0)


def _buffers(handle: Any) -> Iterator[tuple[int, int]]:
    """Give the size in memory and in the file of each compressed buffer; reads 8 bytes of each."""
    handle.seek(len(_MAGIC) if handle.read(len(_MAGIC)) == _MAGIC else 0)
    while len(head := handle.read(8)) == 8:
        mark, size = struct.unpack("<II", head)
        if mark != _CONTINUED:  # of a version before 0.15
            size, _ = mark, handle.seek(-4, 1)
        if not 0 < size <= _LONGEST:
            return
        message = _Table.root(handle.read(size))
        body = handle.tell()
        kind, rows = message.number(1, "<B"), message.table(2)
        if rows is not None and kind == _DICTIONARY:
            rows = rows.table(1)
        if rows is not None and kind in (_DICTIONARY, _ROWS) and rows.has(3):
            for offset, length in rows.structs(2):
                if length >= 8:
                    handle.seek(body + offset)
                    (memory,) = struct.unpack("<q", handle.read(8))
                    if memory > 0:  # -1 for one that is not compressed
                        yield memory, length
        handle.seek(body + message.number(3, "<q"))


class _Table:
    """Table of a FlatBuffer: fields by number, at offsets that a table of offsets gives."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self._position = data, position
        self._offsets = position - self._read("<i", position)

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        """Return the outermost table."""
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def has(self, field: int) -> bool:
        """Return True if the table has the field."""
        return self._field(field) is not None

    def number(self, field: int, kind: str) -> int:
        """Return a number; 0, the default, where it is not stored."""
        position = self._field(field)
        return 0 if position is None else self._read(kind, position)

    def table(self, field: int) -> "_Table | None":
        """Return a table within this one."""
        position = self._field(field)
        return None if position is None else _Table(self._data, position + self._read("<I", position))

    def structs(self, field: int) -> Iterator[tuple[int, int]]:
        """Give the pairs of a vector of structs of two numbers."""
        position = self._field(field)
        if position is not None:
            start = position + self._read("<I", position)
            for number in range(self._read("<I", start)):
                yield struct.unpack_from("<qq", self._data, start + 4 + 16 * number)

    def _field(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry >= self._read("<H", self._offsets):
            return None
        offset = self._read("<H", self._offsets + entry)
        return self._position + offset if offset else None

    def _read(self, kind: str, position: int) -> int:
        return int(struct.unpack_from(kind, self._data, position)[0])
