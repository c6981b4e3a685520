"""Images: damaged, lying, enormous, and odd but right."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from tests.acceptance.bad_input.case import Case, Wanted, flipped, named, tenths

SIDE = 32  # pixels; of the images, and of what is made of them
_QUARTERS = ((230, 30, 40), (20, 200, 60), (40, 60, 220), (240, 240, 240))
_NOISE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)

FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 92},
    "JPEG progressive": {"quality": 92, "progressive": True},
    "PNG": {},
    "WEBP": {"lossless": True},
    "GIF": {},
    "TIFF": {},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "BMP": {},
}


def quarters() -> np.ndarray:
    """Red, green, blue and white: uint8 (32, 32, 3)."""
    pixels = np.empty((SIDE, SIDE, 3), np.uint8)
    half = SIDE // 2
    for number, colour in enumerate(_QUARTERS):
        row, column = divmod(number, 2)
        pixels[row * half : (row + 1) * half, column * half : (column + 1) * half] = colour
    return pixels


def grey() -> np.ndarray:
    """A slope from black to white: uint8 (32, 32)."""
    return np.linspace(0, 255, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint8)


def saved(pixels: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    """The file of an image."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, format.split()[0], **options)
    return file.getvalue()


def cases() -> list[Case]:
    """All images."""
    all_cases: list[Case] = []

    def add(name: str, data: bytes, wanted: Wanted, truth: Any = None, tolerance: float = 0.0) -> None:
        all_cases.append(Case("images", name, data, wanted, truth, tolerance))

    for format, options in FORMATS.items():
        whole = saved(_NOISE, format, **options)
        for how, data in tenths(whole):
            add(f"{format}, {how}", data, "refused")
        for how, data in flipped(whole, 12):
            add(f"{format}, {how}", data, "either")
    for name, data in _no_images().items():
        add(name, data, "refused")
    for name, data in _bombs().items():
        add(name, data, "refused")
    for name, (data, truth, tolerance) in _odd().items():
        add(name, data, "used", truth, tolerance)
    return named(all_cases)


def _no_images() -> dict[str, bytes]:
    """Files of other kinds, with whatever ending."""
    png = saved(_NOISE, "PNG")
    return {
        "no bytes": b"",
        "one byte": b"\xff",
        "4096 bytes of zero": bytes(4096),
        "4096 bytes of 255": b"\xff" * 4096,
        "HTML": b"<!doctype html><title>404</title>" * 9,
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "PDF": b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF",
        "ZIP": b"PK\x03\x04" + bytes(60),
        "WAV": b"RIFF\x24\0\0\0WAVEfmt " + bytes(24),
        "pickle": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94.",
        "only the signature of PNG": png[:8],
        "PNG without its first chunk": png[:8] + png[33:],
        "PNG without pixels": png[:33] + png[-12:],
        "PNG with a wrong checksum": png[:29] + bytes(4) + png[33:],
        "PNG of 0 by 0": _png(0, 0, b""),
        "PNG of 2^31 - 1 by 1": _png(2**31 - 1, 1, zlib.compress(b"\0\0")),
        "PNG with colour type 7": _chunks(1, 1, zlib.compress(b"\0\0"), depth=8, colour=7),
        "only the signature of JPEG": b"\xff\xd8\xff\xe0",
        "JPEG that ends after its tables": saved(_NOISE, "JPEG")[:300],
        "GIF without a frame": saved(_NOISE, "GIF")[:13] + b";",
        "TIFF whose directory is itself": b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8),
        "TIFF whose directory lies beyond its end": b"II*\0\xff\xff\xff\x7f",
        "BMP with a header of 5 bytes": b"BM" + struct.pack("<IHHII", 60, 0, 0, 54, 5) + bytes(40),
        "WebP without an image": b"RIFF\x0c\0\0\0WEBPVP8L" + bytes(4),
        "PNG with a broken profile": _with_chunk(b"iCCP", b"no profile"),
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
        "icon": b"\0\0\x01\0\x01\0" + bytes(60),
        "TIFF in the colours of LAB": saved(Image.new("LAB", (8, 8)), "TIFF"),
    }


def _bombs() -> dict[str, bytes]:
    """Little files that say they are enormous, or are."""
    huge = Image.new("1", (20_000, 20_000))
    return {
        "PNG of 20000 by 20000": saved(huge, "PNG"),
        "TIFF of 20000 by 20000": saved(huge, "TIFF", compression="tiff_adobe_deflate"),
        "PNG that says 65535 by 65535": _png(65535, 65535, zlib.compress(bytes(1000))),
        "PNG that says 60000 by 1600": _png(60000, 1600, zlib.compress(bytes(1000))),
        "GIF that says 65535 by 65535": _sized_gif(65535, 65535),
        "BMP that says 30000 by 30000": _bmp(30_000, 30_000),
        "BMP that says -2^31 rows": _bmp(2, -(2**31)),
        "WebP that says 16384 by 16384": _webp(16384, 16384),
        "PNG with 100 MB of compressed text": _with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8))),
    }


def _odd() -> dict[str, tuple[bytes, np.ndarray, float]]:
    """Legitimate files that readers often get wrong: file, image that must come of it, tolerance."""
    colour, slope = quarters(), grey()
    shades = np.repeat(slope[..., None], 3, axis=2)
    image = Image.fromarray(colour)
    deep = slope.astype(np.uint16) * 257
    seen: dict[str, tuple[bytes, np.ndarray, float]] = {
        "CMYK JPEG": (saved(image.convert("CMYK"), "JPEG", quality=95), colour, 6),
        "CMYK TIFF": (saved(image.convert("CMYK"), "TIFF"), colour, 2),
        "YCbCr TIFF": (saved(image.convert("YCbCr"), "TIFF"), colour, 3),
        "grey JPEG": (saved(slope, "JPEG", quality=95), shades, 3),
        "progressive JPEG": (saved(image, "JPEG", quality=95, progressive=True), colour, 8),
        "16-bit PNG": (saved(deep, "PNG"), shades, 1),
        "16-bit TIFF": (saved(deep, "TIFF"), shades, 1),
        "16-bit big-endian TIFF": (saved(Image.fromarray(deep.astype(">u2")), "TIFF"), shades, 1),
        "16-bit colour PNG": (_deep_png(colour), colour, 1),
        "32-bit TIFF": (saved(Image.fromarray(slope.astype(np.int32) * 257), "TIFF"), shades, 1),
        "float TIFF": (saved(Image.fromarray(slope.astype(np.float32) / 255), "TIFF"), shades, 1),
        "1-bit PNG": (saved(Image.fromarray(slope > 127), "PNG"), (shades > 127) * np.uint8(255), 0),
        "palette PNG": (saved(image.quantize(4), "PNG"), colour, 1),
        "palette GIF": (saved(image.quantize(4), "GIF"), colour, 1),
        "palette BMP": (saved(image.quantize(4), "BMP"), colour, 1),
        "palette with a transparent colour": (_transparent_palette(), _white_quarter(colour), 1),
        "transparent PNG": (_transparent(colour), _white_quarter(colour), 0),
        "grey and transparent PNG": (
            saved(Image.merge("LA", (Image.fromarray(slope), Image.new("L", (SIDE, SIDE), 255))), "PNG"),
            shades,
            0,
        ),
        "interlaced PNG": (_interlaced(), np.full((SIDE, SIDE, 3), 255, np.uint8), 0),
        "lossy WebP": (saved(image, "WEBP", quality=95), colour, 8),
        "TIFF of two byte orders": (saved(image, "TIFF", compression="packbits"), colour, 0),
        "1 by 1": (saved(np.full((1, 1, 3), 90, np.uint8), "PNG"), np.full((SIDE, SIDE, 3), 90), 0),
        "1 by 30000": (saved(np.full((30_000, 1, 3), 90, np.uint8), "PNG"), np.full((SIDE, SIDE, 3), 90), 0),
        "30000 by 1": (saved(np.full((1, 30_000, 3), 90, np.uint8), "PNG"), np.full((SIDE, SIDE, 3), 90), 0),
        "bytes behind the end": (saved(image, "PNG") + b"and more" * 99, colour, 0),
        "PNG with a private chunk": (_with_chunk(b"prVt", b"mine"), colour, 0),
    }
    other = Image.fromarray(255 - colour)
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        options: dict[str, Any] = {"save_all": True, "append_images": [other, image]}
        if format == "WEBP":
            options["lossless"] = True
        seen[f"animated {format}"] = (saved(image, format, **options), colour, 1)
    for turn in range(1, 9):
        seen[f"EXIF orientation {turn}"] = (_exif(_laid(image, turn), turn), colour, 8)
    for name, exif in {
        "of random bytes": b"Exif\0\0" + np.random.default_rng(1).bytes(200),
        "cut off": b"Exif\0\0II*\0\x08\0\0\0\x05\0",
        "with orientation 99": _exif_bytes(99),
        "whose offsets lead nowhere": b"Exif\0\0II*\0\xff\xff\xff\xff",
        "of nothing": b"Exif\0\0",
    }.items():
        seen[f"EXIF {name}"] = (saved(image, "JPEG", quality=95, exif=exif), colour, 8)
    return seen


def _chunks(width: int, height: int, data: bytes, depth: int, colour: int, interlace: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _png(width: int, height: int, data: bytes) -> bytes:
    """A grey PNG whose header need not fit its data."""
    return _chunks(width, height, data, depth=8, colour=0)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _with_chunk(name: bytes, data: bytes) -> bytes:
    """The quarters as PNG with one more chunk behind the header."""
    whole = saved(quarters(), "PNG")
    return whole[:33] + _chunk(name, data) + whole[33:]


# first column and row, and the steps to the next
_PASSES = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip


def _interlaced() -> bytes:
    """A white image in the seven passes of Adam7."""
    rows = b""
    for x, y, dx, dy in _PASSES:
        width, height = -(-(SIDE - x) // dx), -(-(SIDE - y) // dy)
        rows += (b"\0" + b"\xff" * width) * height
    return _chunks(SIDE, SIDE, zlib.compress(rows), depth=8, colour=0, interlace=1)


def _deep_png(colour: np.ndarray) -> bytes:
    """RGB of 16 bits a channel, which Pillow cannot write."""
    deep = (colour.astype(">u2") * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    return _chunks(SIDE, SIDE, zlib.compress(rows), depth=16, colour=2)


def _sized_gif(width: int, height: int) -> bytes:
    data = bytearray(saved(_NOISE, "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def _bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + header + bytes(64)


def _webp(width: int, height: int) -> bytes:
    """An extended WebP file: its canvas, and an image of 32 by 32."""
    inner = saved(_NOISE, "WEBP", lossless=True)[12:]
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size + inner
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _white_quarter(colour: np.ndarray) -> np.ndarray:
    half = SIDE // 2
    seen = colour.copy()
    seen[:half, :half] = 255
    return seen


def _transparent(colour: np.ndarray) -> bytes:
    """The red quarter is transparent."""
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[: SIDE // 2, : SIDE // 2] = 0
    return saved(np.dstack([colour, alpha]), "PNG")


def _transparent_palette() -> bytes:
    image = Image.fromarray(quarters()).quantize(4)
    red = image.getpixel((0, 0))
    return saved(image, "PNG", transparency=red)


_LAID = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def _laid(image: Image.Image, turn: int) -> Image.Image:
    """The image as a camera stores it that notes this orientation."""
    return image.transpose(_LAID[turn]) if turn in _LAID else image


def _exif_bytes(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif.tobytes()


def _exif(image: Image.Image, turn: int) -> bytes:
    return saved(image, "JPEG", quality=95, exif=_exif_bytes(turn))
