"""Images of any kind to square RGB of one size."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from PIL import Image

from components.data.files.content import MediaValue, media_bytes, named
from components.data.files.images import depth_of, read_frame
from components.errors import DataError
from components.preprocess.protocol import Samples, cells

FitMode = Literal["crop", "pad", "stretch"]


class ImagePreprocessor:
    """Decode, turn upright, make RGB on white, make square, resize.

    Args:
        size: Side of the result in pixels.
        fit_mode: ``crop`` the centre, ``pad`` with white, or ``stretch``.
        bits: Depth of values whose file holds up to 16 or 32 bits and does not tell how many are used; None
            to learn it.
    """

    modality = "image"

    def __init__(self, size: int, fit_mode: FitMode, bits: int | None = None) -> None:
        self.size = size
        self.fit_mode: FitMode = fit_mode
        self.bits = bits

    def fit(self, samples: Samples) -> None:
        """Learn the depth from the largest value of the training images."""
        if self.bits is None:
            self.bits = depth_of(float(top) for top in cells(samples, "top") if top is not None)

    def state(self) -> dict[str, Any]:
        return {"modality": self.modality, "size": self.size, "fit_mode": self.fit_mode, "bits": self.bits}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(state["size"], state["fit_mode"], state.get("bits"))

    def canonical(self, value: MediaValue) -> np.ndarray:
        """RGB image, uint8 (size, size, 3).

        Raises:
            DataError: If the file cannot be read or decoded.
        """
        # Twice the size, so that the resize still has something to average.
        return np.asarray(SQUARES[self.fit_mode](self.rgb(value, 2 * self.size), self.size))

    def rgb(self, value: MediaValue, side: int) -> Image.Image:
        """Decode to upright 8-bit RGB; a large JPEG to a smaller size, of which no side is below ``side``.

        Raises:
            DataError: If the file cannot be read or decoded.
        """
        data = media_bytes(value)
        try:
            return read_frame(data, side).rgb(self.bits)
        except Exception as error:  # decoders raise all kinds on damaged data
            raise DataError(
                f"{named(value)}: cannot be decoded as an image: {error or type(error).__name__}"
            ) from error

    def collate(self, rows: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """``pixels``: uint8 (B, 3, H, W), channels last in memory."""
        return {"pixels": torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)}


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
