"""Images of any kind to square RGB of one size."""

import io
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from PIL import Image

from components.data.files.content import MediaValue, media_bytes, named
from components.data.files.media import IMAGE_FORMATS, unfit_image
from components.errors import DataError
from components.preprocess.protocol import Samples

FitMode = Literal["crop", "pad", "stretch"]

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


class ImagePreprocessor:
    """Decode, turn upright, make RGB on white, make square, resize.

    Args:
        size: Side of the result in pixels.
        fit_mode: ``crop`` the centre, ``pad`` with white, or ``stretch``.
    """

    modality = "image"

    def __init__(self, size: int, fit_mode: FitMode) -> None:
        self.size = size
        self.fit_mode: FitMode = fit_mode

    def fit(self, samples: Samples) -> None:
        """Nothing is learned."""

    def state(self) -> dict[str, Any]:
        return {"modality": self.modality, "size": self.size, "fit_mode": self.fit_mode}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(state["size"], state["fit_mode"])

    def canonical(self, value: MediaValue) -> np.ndarray:
        """RGB image, uint8 (size, size, 3).

        Raises:
            DataError: If the file cannot be read or decoded.
        """
        data = media_bytes(value)
        try:
            image = decode(data, self.size)
            return np.asarray(SQUARES[self.fit_mode](to_rgb(upright(image)), self.size))
        except Image.UnidentifiedImageError as error:
            raise DataError(
                f"{named(value)}: cannot be decoded as an image: it is no {' or '.join(IMAGE_FORMATS)}"
            ) from error
        except Exception as error:  # decoders raise all kinds on damaged data
            raise DataError(
                f"{named(value)}: cannot be decoded as an image: {error or type(error).__name__}"
            ) from error

    def collate(self, rows: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """``pixels``: uint8 (B, 3, H, W), channels last in memory."""
        return {"pixels": torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)}


def decode(data: bytes, size: int) -> Image.Image:
    """First frame of an image; a JPEG much larger than ``size`` is decoded at a fraction of its size.

    Raises:
        ValueError: If it has too many pixels, none, or colours of an unknown kind.
    """
    image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    if unfit := unfit_image(image):
        raise ValueError(unfit)
    image.draft(None, (2 * size, 2 * size))  # twice, so that the resize still has something to average
    image.load()
    return image


def upright(image: Image.Image) -> Image.Image:
    """Turn and mirror as the EXIF orientation says; damaged EXIF data count as none."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return image
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """Eight-bit RGB: transparent parts on white, palettes and CMYK converted, deep grey scaled."""
    if image.mode.startswith("I") or image.mode == "F":
        image = eight_bits(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or floating point as 8 bits.

    16 bits are scaled from their full range. 32 bits (0 to 255 or 65535) and floats (0 to 1 or 255) have
    none that is certain: it is told by the largest value, and anything else is scaled from its own range.
    """
    grey = np.asarray(image).astype(np.float64)
    grey = np.nan_to_num(grey, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = grey.min(), grey.max()
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    elif low >= 0:
        tops = (1.0, 255.0) if image.mode == "F" else (255.0, 65535.0)
        low, high = 0.0, next((top for top in tops if high <= top), high)
    scaled = (grey - low) * (255.0 / (high - low if high > low else 1.0))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def crop(image: Image.Image, size: int) -> Image.Image:
    """Largest centred square, resized."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return _resize(image.crop((left, top, left + side, top + side)), (size, size))


def pad(image: Image.Image, size: int) -> Image.Image:
    """Whole image, resized, in the middle of a white square."""
    width, height = image.size
    scale = size / max(width, height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    square = Image.new("RGB", (size, size), "white")
    square.paste(_resize(image, inner), ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return square


def stretch(image: Image.Image, size: int) -> Image.Image:
    """Whole image, resized without regard to its shape."""
    return _resize(image, (size, size))


SQUARES: dict[str, Callable[[Image.Image, int], Image.Image]] = {"crop": crop, "pad": pad, "stretch": stretch}


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Antialiased (Pillow widens the filter by the scale when it makes smaller)."""
    return image.resize(size, Image.Resampling.BICUBIC)
