"""Image files as upright 8-bit RGB: every format, depth and colour mode that braid reads."""

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageStat, TiffImagePlugin, UnidentifiedImageError

Image.init()  # registers the decoders before several threads ask for them
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "JPEG2000", "AVIF")  # JPEG opens MPO too
IMAGE_MODES = frozenset(
    {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "I", "F"}
    | {"I;16", "I;16L", "I;16B", "I;16N"}
)
DEPTHS = (8, 10, 12, 14, 16)  # bits per value of the cameras and scanners that there are
NOT_AN_IMAGE = "not an image (expected JPEG, PNG, WebP, AVIF, GIF, TIFF, BMP or JPEG 2000)"

_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS, _PHOTOMETRIC, _BANDS, _SAMPLE_FORMAT = 258, 262, 277, 339  # TIFF tags
_TOPS, _LOWEST = (341, 281), 340  # SMaxSampleValue, MaxSampleValue; SMinSampleValue
_WHITE_IS_ZERO = 0
_SAMPLES = {1: "unsigned integers", 2: "signed integers", 3: "floating point", 5: "complex integers"}
# Raw mode that gives the low bytes of what another gives the high bytes of.
_LOW_BYTES = {"LA;16B": "RGBA", "16B": "16L", "16L": "16B", "16N": "16B"}  # N: as on x86 and ARM


class UnfitImageError(ValueError):
    """An image file that may not be decoded, or is not read."""


@dataclass(frozen=True)
class Frame:
    """First frame of an image file, as it is stored: not yet upright.

    Attributes:
        image: The frame, decoded.
        values: Where a value has more than 8 bits, (H, W) grey or (H, W, 3) RGB; else None.
        span: Lowest and highest value of the scale, where the file tells it; None where only other images
            of the same source can.
    """

    image: Image.Image
    values: np.ndarray | None
    span: tuple[float, float] | None

    @cached_property
    def top(self) -> float | None:
        """Largest value where nothing in the file tells the depth of its integers; None elsewhere."""
        if self.values is None or self.span is not None or self.values.dtype.kind == "f":
            return None
        return float(self.values.max()) if self.values.min() >= 0 else None

    def rgb(self, bits: int | None = None) -> Image.Image:
        """Upright 8-bit RGB; transparent parts on white.

        Args:
            bits: Depth of integers whose file does not tell it; by default that of their type.
        """
        image = self.image if self.values is None else self._eight_bits(bits)
        turn = _turn(self.image)
        if turn is not None:
            image = image.transpose(turn)
        if image.has_transparency_data:
            layer = image.convert("RGBA")
            white = Image.new("RGBA", layer.size, "white")
            return Image.alpha_composite(white, layer).convert("RGB")
        return image.convert("RGB")

    @property
    def contrast(self) -> float:
        """Largest standard deviation of a channel, where full scale is 1: that of ``rgb()``, or ``top``."""
        if self.top is not None and self.values is not None:
            return float(self.values.std(axis=(0, 1), dtype=np.float32).max()) / max(self.top, 1.0)
        return max(ImageStat.Stat(self.rgb()).stddev) / 255

    def _eight_bits(self, bits: int | None) -> Image.Image:
        """Scale deep values to 8 bits; floats that are not numbers become the lowest value."""
        assert self.values is not None
        low, high = self._scale(bits)
        if self.values.ndim == 3 and high == 65535:
            return self.image  # Pillow has kept the high bytes
        values = self.values.astype(np.float32 if self.values.dtype == np.uint16 else np.float64)
        values = np.nan_to_num(values, nan=low, posinf=low, neginf=low)
        scaled = (values - low) * (255.0 / (high - low if high > low else 1.0))
        image = Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))
        if _inverted(self.image):
            image = Image.eval(image, lambda value: 255 - value)
        if self.image.mode == "RGBA":  # alpha has all 16 bits
            image.putalpha(self.image.getchannel("A"))
        elif isinstance(transparent := self.image.info.get("transparency"), int | tuple):
            hidden = (self.values.reshape(*self.values.shape[:2], -1) == transparent).all(axis=-1)
            image.putalpha(Image.fromarray(np.where(hidden, 0, 255).astype(np.uint8)))
        return image

    def _scale(self, bits: int | None) -> tuple[float, float]:
        """Lowest and highest value of the scale.

        16 bits have their full range. 32 bits (0 to 255 or 65535) and floats (0 to 1 or 255) have none that
        is certain: it is told by the largest value, and anything else is scaled from its own range.
        """
        assert self.values is not None
        if self.span is not None:
            return self.span
        if bits is not None and self.top is not None:
            return 0.0, float(2**bits - 1)
        if self.values.dtype == np.uint16:
            return 0.0, 65535.0
        finite = np.nan_to_num(self.values, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = float(finite.min()), float(finite.max())
        if low < 0:
            return low, high
        tops = (1.0, 255.0) if self.values.dtype.kind == "f" else (255.0, 65535.0)
        return 0.0, next((top for top in tops if high <= top), high)


def read_frame(data: bytes, side: int) -> Frame:
    """Decode the first frame of an image file.

    Args:
        side: Smallest side in pixels that is needed: a larger JPEG is decoded at a fraction of its size.

    Raises:
        UnfitImageError: If it is no image of a known kind, has too many pixels or none, or colours of an
            unknown kind. Decoders raise errors of any class on damaged data.
    """
    image = _open(data)
    if unfit := unfit_image(image):
        raise UnfitImageError(unfit)
    image.draft(None, (side, side))
    deep_colours = _low_bytes(image)
    image.load()
    if deep_colours is not None:
        values: np.ndarray | None = _joined(image, data, deep_colours)
    elif image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        values = values.astype(np.uint16) if image.mode.startswith("I;16") else values
    else:
        values = None
    return Frame(image, values, None if values is None else _span(image, data, values))


def depth_of(tops: Iterable[float]) -> int | None:
    """Tell the bits per value from the largest values of images; None without any, or beyond 16 bits."""
    top = max(tops, default=None)
    return None if top is None else next((bits for bits in DEPTHS if top < 2**bits), None)


def inspect_image(data: bytes) -> tuple[str | None, float | None, float | None]:
    """Decode an image file; a JPEG at an eighth of its size, which finds truncation too.

    Returns:
        Reason why it cannot be used, or None; its contrast, and its largest value where nothing in the file
        tells its depth (see :class:`Frame`).
    """
    try:
        frame = read_frame(data, side=1)
        return None, frame.contrast, frame.top
    except UnfitImageError as error:
        return str(error), None, None
    except Exception as error:  # as decoders raise errors of any class on damaged data
        truncated = isinstance(error, EOFError) or "truncated" in str(error)
        cause = str(error).strip()[:120] or type(error).__name__
        return f"{'truncated' if truncated else 'damaged'} image ({cause})", None, None


def unfit_image(image: Image.Image) -> str | None:
    """Return the reason why an image may not be decoded, or None; only its header is read."""
    width, height = image.size
    if width * height == 0:
        return f"image without pixels ({width} × {height})"
    if width * height > most_pixels():
        return f"decompression bomb ({width} × {height} is more than {most_pixels() / 1e6:.0f} megapixels)"
    if image.mode not in IMAGE_MODES:
        return f"unknown colour mode ({image.mode}; convert the file to RGB)"
    return None


def most_pixels() -> int:
    """Largest number of pixels of an image."""
    return Image.MAX_IMAGE_PIXELS or 2**62


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    except UnidentifiedImageError as error:
        raise UnfitImageError(_unread_kind(data) or NOT_AN_IMAGE) from error
    except Image.DecompressionBombError as error:
        limit = f"more than {most_pixels() / 1e6:.0f} megapixels"
        raise UnfitImageError(f"decompression bomb ({limit})") from error


def _unread_kind(data: bytes) -> str | None:
    """Name the kind of an image file that is not read, with the remedy; None if it is no image."""
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
        return "HEIC, which is not read (convert it to JPEG or AVIF, such as with heif-convert)"
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return None
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        bands, kind = tags.get(_BANDS, 1), tags.get(_SAMPLE_FORMAT, (1,))[0]
        bits = tags.get(_BITS, (1,))[0]
    except Exception:  # damaged tags raise errors of any class
        return None
    samples = f"{bands} {'band' if bands == 1 else 'bands'} of {bits} bits, {_SAMPLES.get(kind, 'unknown')}"
    remedy = "convert it to grey or RGB of 8 or 16 bits; float grey of 32 bits is read too"
    return f"TIFF of a kind that is not read ({samples}; {remedy})"


def _low_bytes(image: Image.Image) -> list[tuple[str, str]] | None:
    """Return the raw modes for the low bytes of colours of 16 bits, of which Pillow keeps the high bytes.

    Returns:
        For each tile of the file its own raw mode and the one for the low bytes; None for other images.
    """
    if image.mode not in ("RGB", "RGBA") or not hasattr(image, "tile"):
        return None
    raws = [tile.args if isinstance(tile.args, str) else str((tile.args or ("",))[0]) for tile in image.tile]
    swapped = [(raw, _LOW_BYTES.get(raw) or raw[:-3] + _LOW_BYTES.get(raw[-3:], "")) for raw in raws]
    return swapped if raws and all(";16" in raw for raw in raws) else None


def _joined(high: Image.Image, data: bytes, modes: list[tuple[str, str]]) -> np.ndarray:
    """Join the high and the low bytes of colours of 16 bits, without alpha: uint16 (H, W, 3)."""
    low = _open(data)
    low.tile = [  # type: ignore[attr-defined]
        tile._replace(args=mode if isinstance(tile.args, str) else (mode, *tile.args[1:]))
        for tile, (_, mode) in zip(low.tile, modes, strict=True)  # type: ignore[attr-defined]
    ]
    low.load()
    grey = modes[0][0] == "LA;16B"  # its bytes read as RGBA are: grey high and low, alpha high and low
    return (
        np.asarray(high)[..., :3].astype(np.uint16) << 8
        | np.asarray(low)[..., [1, 1, 1] if grey else slice(3)]
    )


def _span(image: Image.Image, data: bytes, values: np.ndarray) -> tuple[float, float] | None:
    """Return the scale that a file declares, if all its values lie within."""
    low, high = float(values.min()), float(values.max())
    if image.format == "PNG":
        return _png_span(data, values, high)
    if image.format != "TIFF":
        return 0.0, 65535.0  # a JPEG 2000 is brought to the full range by its decoder
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits = tags.get(_BITS, (16,))[0]
    if values.dtype == np.uint16 and bits < 16:
        return 0.0, float(2**bits - 1)
    signed = values.dtype.kind == "f" or low < 0
    tops = [_first(tags.get(tag)) for tag in _TOPS]
    top = next((top for top in tops if top is not None), None)
    bottom = _first(tags.get(_LOWEST)) if signed else 0.0
    return (bottom, top) if top and bottom is not None and bottom <= low and high <= top else None


def _png_span(data: bytes, values: np.ndarray, high: float) -> tuple[float, float] | None:
    """Return the scale of a PNG with the chunk sBIT (significant bits).

    The standard wants values brought to 16 bits, so that the bits below the significant ones repeat the
    first or are zero. Many cameras store them as they are.
    """
    offset = 8  # bytes; the first chunk
    while offset + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, offset)
        if name == b"sBIT":
            bits = max(data[offset + 8 : offset + 8 + length], default=0)
            if not 0 < bits <= 16:
                return None
            low_bits = values & (2 ** (16 - bits) - 1)
            return 0.0, float(2**bits - 1) if high < 2**bits and low_bits.any() else 65535.0
        if name == b"IDAT":
            return None
        offset += 12 + length
    return None


def _first(value: object) -> float | None:
    values = value if isinstance(value, tuple) else (value,)
    return float(values[0]) if values and isinstance(values[0], int | float) else None


def _inverted(image: Image.Image) -> bool:
    """Return True for deep grey of which 0 is white; Pillow turns only 8 bits around."""
    return image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO  # type: ignore[attr-defined]


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return the turn that the EXIF orientation asks for; damaged EXIF data count as none."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return None
