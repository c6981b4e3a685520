"""Image files that no library writes: TIFF of any layout, and PNG with chunks put in."""

from __future__ import annotations

import struct
import zlib

import numpy as np

_FORMATS = {3: "H", 4: "I", 11: "f", 9: "i"}


def tiff(
    values: np.ndarray, bits: int | None = None, photometric: int | None = None, **tags: object
) -> bytes:
    """Write a TIFF of one strip.

    Args:
        values: (H, W) or (H, W, bands), in their own byte order and width.
        bits: Bits per value if not those of the type; 12 packs two values in three bytes.
        photometric: 0 white is zero, 1 black is zero, 2 RGB; by default as the bands say.
        tags: ``t281=(3, 4095)`` adds tag 281 of type 3 (short; 4 long, 9 signed, 11 float).
    """
    height, width, bands = (*values.shape, 1)[:3]
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    body = _packed(values) if bits == 12 else values.astype(values.dtype.newbyteorder("<")).tobytes()
    entries: dict[int, tuple[int, list[float]]] = {
        256: (3, [width]), 257: (3, [height]), 258: (3, [bits or 8 * values.dtype.itemsize] * bands),
        259: (3, [1]), 262: (3, [photometric if photometric is not None else (2 if bands >= 3 else 1)]),
        273: (4, [8]), 277: (3, [bands]), 278: (3, [height]), 279: (4, [len(body)]), 339: (3, [kind] * bands),
    }  # fmt: skip
    if bands > 3:
        entries[338] = (3, [0] * (bands - 3))
    for name, (type_, value) in tags.items():  # type: ignore[misc]
        entries[int(name[1:])] = (type_, [value])
    start = 8 + len(body) + len(body) % 2
    extra = b""
    directory = struct.pack("<H", len(entries))
    for tag, (type_, numbers) in sorted(entries.items()):
        data = struct.pack(f"<{len(numbers)}{_FORMATS[type_]}", *numbers)
        if len(data) > 4:
            offset = start + 2 + 12 * len(entries) + 4 + len(extra)
            extra += data + bytes(len(data) % 2)
            data = struct.pack("<I", offset)
        directory += struct.pack("<HHI", tag, type_, len(numbers)) + data.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", start) + body + bytes(len(body) % 2) + directory + bytes(4) + extra


def with_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    """Put a chunk behind the first one of a PNG."""
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return png[:33] + chunk + png[33:]


def png16(values: np.ndarray) -> bytes:
    """Write a PNG of 16 bits: (H, W) grey, or (H, W, C) grey and alpha, RGB, or RGB and alpha."""
    height, width, bands = (*values.shape, 1)[:3]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        png += struct.pack(">I", len(content)) + name + content
        png += struct.pack(">I", zlib.crc32(name + content))
    return png


def _packed(values: np.ndarray) -> bytes:
    """Pack values of 12 bits, two in three bytes; the width is even."""
    first, second = values.reshape(-1, 2).astype(np.uint16).T
    triples = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1)
    return triples.astype(np.uint8).tobytes()
