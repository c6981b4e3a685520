"""Corruptions of images, after ImageNet-C (Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261).

Each takes a file, and the depth that the model learned for files that do not tell theirs. It returns a PNG:
RGB, upright, transparent parts on white. An image whose longer side has more than 256 pixels is reduced to
that size first. Noise and JPEG blocks then have the proportions of ImageNet-C (224 pixels), and do not vanish
when the image is resized for the encoder.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageFilter

from components.data.files.content import MediaValue, media_bytes, named
from components.data.files.images import read_frame
from components.errors import DataError

_SIDE = 256  # pixels
_REFERENCE = 224  # pixels: side of ImageNet-C's images, for which its radii are given


def gaussian_blur(
    value: MediaValue, severity: int, rng: np.random.Generator, bits: int | None = None
) -> bytes:
    """Blur by a standard deviation of 1, 2, 3, 4, 6 pixels in an image of 224.

    Source: ImageNet-C's Gaussian blur; other sizes in proportion to the shorter side.
    """
    image = _open(value, bits)
    radius = (1, 2, 3, 4, 6)[severity - 1] * min(image.size) / _REFERENCE
    return _png(image.filter(ImageFilter.GaussianBlur(radius)))


def gaussian_noise(
    value: MediaValue, severity: int, rng: np.random.Generator, bits: int | None = None
) -> bytes:
    """Add normal noise of standard deviation .08, .12, .18, .26, .38 of the range on every pixel and channel.

    Source: ImageNet-C. The noise is the same at every severity, only stronger.
    """
    pixels = np.asarray(_open(value, bits), dtype=np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32)
    pixels = pixels + 255 * (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1] * noise
    return _png(Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)))


def jpeg(value: MediaValue, severity: int, rng: np.random.Generator, bits: int | None = None) -> bytes:
    """Encode as a JPEG of quality 25, 18, 15, 10, 7 and decode. Source: ImageNet-C."""
    file = io.BytesIO()
    _open(value, bits).save(file, "JPEG", quality=(25, 18, 15, 10, 7)[severity - 1])
    return _png(Image.open(file))


def occlusion(value: MediaValue, severity: int, rng: np.random.Generator, bits: int | None = None) -> bytes:
    """Cover .05, .1, .2, .35, .5 of the area by a rectangle of the image's shape and mean colour.

    Source: occlusion of Zeiler & Fergus 2014 (https://arxiv.org/abs/1311.2901); the shares are ours. Each
    rectangle lies within that of the next severity.
    """
    pixels = np.array(_open(value, bits))  # (H, W, 3)
    share = np.sqrt((0.05, 0.1, 0.2, 0.35, 0.5)[severity - 1])
    top, left = rng.random(2)
    rows, columns = (_span(size, share, at) for size, at in zip(pixels.shape, (top, left), strict=False))
    pixels[rows, columns] = np.rint(pixels.mean(axis=(0, 1)))
    return _png(Image.fromarray(pixels))


IMAGE: Mapping[str, Callable[..., bytes]] = {
    "gaussian_blur": gaussian_blur,
    "gaussian_noise": gaussian_noise,
    "jpeg": jpeg,
    "occlusion": occlusion,
}


def _span(size: int, share: float, at: float) -> slice:
    """Choose a part of a side by ``at`` in [0, 1], such that a larger share holds every smaller one."""
    return slice(int(np.floor(at * size * (1 - share))), int(np.ceil(size * (at + (1 - at) * share))))


def _open(value: MediaValue, bits: int | None) -> Image.Image:
    """Decode to RGB as the model does, with at most 256 pixels per side."""
    data = media_bytes(value)
    try:
        image = read_frame(data, 2 * _SIDE).rgb(bits)
    except Exception as error:  # as decoders raise errors of any class on damaged data
        raise DataError(f"{named(value)}: cannot be decoded as an image: {error}") from error
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    return image


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)  # as it is read only once
    return file.getvalue()
