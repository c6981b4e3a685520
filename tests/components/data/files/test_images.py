"""Images of every depth and layout show what they hold, or say why they are not read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.data.files.images import depth_of, inspect_image, read_frame
from tests.components.data.files.image_writers import png16, tiff, with_chunk

SLOPE = np.linspace(0, 1, 64).reshape(8, 8)  # dark to light
EIGHT = np.rint(255 * SLOPE).astype(np.uint8)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def deep(bits: int, bands: int = 1) -> np.ndarray:
    """The slope in values of so many bits: uint16 (8, 8) or (8, 8, bands)."""
    values = np.rint((2**bits - 1) * SLOPE).astype(np.uint16)
    return values if bands == 1 else np.repeat(values[..., None], bands, axis=2)


def seen(data: bytes, bits: int | None = None) -> np.ndarray:
    """The first channel of the RGB that a model is given: uint8 (8, 8)."""
    rgb = np.asarray(read_frame(data, 1).rgb(bits))
    assert rgb.shape == (8, 8, 3)
    assert (rgb == rgb[..., :1]).all(), "grey"
    return rgb[..., 0]


def off(pixels: np.ndarray, wanted: np.ndarray = EIGHT) -> int:
    return int(np.abs(pixels.astype(int) - wanted).max())


def opaque(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, np.full((8, 8, 1), 65535, np.uint16)], axis=2)


WRITERS = {
    "PNG": lambda bits: png16(deep(bits)),
    "PNG by Pillow": lambda bits: encoded(Image.fromarray(deep(bits)), "PNG"),
    "PNG grey and alpha": lambda bits: png16(opaque(deep(bits)[..., None])),
    "PNG RGB": lambda bits: png16(deep(bits, 3)),
    "PNG RGB and alpha": lambda bits: png16(opaque(deep(bits, 3))),
    "TIFF": lambda bits: tiff(deep(bits)),
    "TIFF RGB": lambda bits: tiff(deep(bits, 3)),
    "TIFF of 32 bits": lambda bits: tiff(deep(bits).astype(np.uint32)),
    "TIFF LZW": lambda bits: encoded(Image.fromarray(deep(bits)), "TIFF", compression="tiff_lzw"),
    "TIFF deflate": lambda bits: encoded(Image.fromarray(deep(bits)), "TIFF", compression="tiff_deflate"),
}


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("writer", WRITERS)
def test_values_of_any_depth_in_16_bits_keep_their_contrast(writer: str, bits: int) -> None:
    data = WRITERS[writer](bits)
    reason, contrast, top = inspect_image(data)
    assert reason is None
    assert top == 2**bits - 1, "the file does not tell its depth, so other files have to"
    assert contrast == pytest.approx(SLOPE.std(), abs=0.02)
    assert depth_of([top, top / 2]) == bits
    assert off(seen(data, bits)) <= 1


def test_a_depth_is_that_of_the_largest_value() -> None:
    assert [depth_of([top]) for top in (0, 255, 256, 1023, 1024, 4095, 4096, 16383, 16384, 65535)] == [
        8, 8, 10, 10, 12, 12, 14, 14, 16, 16,
    ]  # fmt: skip
    assert depth_of([]) is None
    assert depth_of([70_000]) is None


def test_the_largest_values_of_a_darker_training_set_are_the_brightest() -> None:
    assert off(seen(png16(deep(12)), 10), np.minimum(np.rint(255 / 1023 * 4095 * SLOPE), 255)) <= 1


class TestWhatTheFileSays:
    @pytest.mark.parametrize("bits", [9, 10, 12, 14])
    @pytest.mark.parametrize("bands", [1, 3])
    def test_significant_bits_of_values_as_the_camera_gives_them(self, bits: int, bands: int) -> None:
        data = with_chunk(png16(deep(bits, bands)), b"sBIT", bytes([bits] * bands))
        assert inspect_image(data)[2] is None
        assert off(seen(data)) <= 1
        assert off(seen(data, 16)) <= 1, "what other files say does not matter"

    @pytest.mark.parametrize("bits", [10, 12, 14])
    def test_significant_bits_of_values_as_the_standard_wants_them(self, bits: int) -> None:
        shifted = with_chunk(png16(deep(bits) << (16 - bits)), b"sBIT", bytes([bits]))
        assert off(seen(shifted)) <= 1
        dark = with_chunk(png16((deep(bits) >> (16 - bits + 1)) << (16 - bits)), b"sBIT", bytes([bits]))
        assert seen(dark).max() < 128, "dark, and not stretched"

    @pytest.mark.parametrize("tag", ["t281", "t341"])
    def test_the_largest_value_of_a_tiff(self, tag: str) -> None:
        data = tiff(deep(12), **{tag: (3, 4095)})
        assert inspect_image(data)[2] is None
        assert off(seen(data)) <= 1

    def test_a_largest_value_that_is_exceeded_is_not_believed(self) -> None:
        assert inspect_image(tiff(deep(12), t281=(3, 255)))[2] == 4095

    def test_twelve_bits_in_one_and_a_half_bytes(self) -> None:
        data = tiff(deep(12), bits=12)
        assert inspect_image(data)[2] is None
        assert off(seen(data)) <= 1

    def test_the_range_of_floats_and_of_signed_values(self) -> None:
        hounsfield = (2000 * SLOPE - 1000).astype(np.int16)
        half = hounsfield.copy()
        half[4:] = -1000
        for values in (hounsfield, hounsfield.astype(np.float32)):
            tags = {"t340": (11, -1000.0), "t341": (11, 1000.0)}
            assert off(seen(tiff(values, **tags))) <= 1
            assert (
                off(
                    seen(tiff(np.where(half == -1000, -1000, half).astype(values.dtype), **tags))[:4],
                    EIGHT[:4],
                )
                <= 1
            )

    def test_white_that_is_zero_is_turned_around(self) -> None:
        for values in (deep(12), 255 - EIGHT):
            bits = 12 if values.dtype == np.uint16 else None
            wanted = 255 - EIGHT if bits else EIGHT
            assert off(seen(tiff(values, photometric=0), bits), wanted) <= 1


def test_what_a_deep_png_calls_transparent_lies_on_white() -> None:
    grey = with_chunk(png16(deep(12)), b"tRNS", bytes(2))
    assert seen(grey, 12)[0, 0] == 255
    assert off(seen(grey, 12)[1:], EIGHT[1:]) <= 1


def test_alpha_of_deep_colours_lies_on_white() -> None:
    values = opaque(deep(12, 3))
    values[:4, :, 3] = 0
    pixels = seen(png16(values), 12)
    assert (pixels[:4] == 255).all()
    assert off(pixels[4:], EIGHT[4:]) <= 1


@pytest.mark.parametrize("bits", [None, 12])
def test_a_deep_image_is_turned_upright(bits: int | None) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    stored = deep(bits or 16)[::-1, ::-1]
    for format in ("PNG", "TIFF"):
        assert off(seen(encoded(Image.fromarray(stored), format, exif=exif), bits)) <= 1


@pytest.mark.parametrize(
    ("format", "options"), [("AVIF", {"quality": 100}), ("JPEG2000", {}), ("WEBP", {"lossless": True})]
)
def test_newer_formats_are_read(format: str, options: dict[str, Any]) -> None:
    image = Image.fromarray(np.repeat(EIGHT[..., None], 3, axis=2)).resize((64, 64), Image.Resampling.NEAREST)
    data = encoded(image, format, **options)
    assert inspect_image(data)[0] is None
    rgb = np.asarray(read_frame(data, 64).rgb())
    assert np.abs(rgb.astype(int) - np.asarray(image)).max() <= 8


def test_sixteen_bits_of_a_jpeg_2000_have_the_full_range() -> None:
    data = encoded(Image.fromarray(deep(16)), "JPEG2000")
    assert inspect_image(data)[2] is None
    assert off(seen(data, 12)) <= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(np.zeros((8, 8, 3), np.float32)), "3 bands of 32 bits, floating point"),
        (tiff(np.zeros((8, 8), np.float64)), "1 band of 64 bits, floating point"),
        (tiff(np.zeros((8, 8, 5), np.uint8), photometric=1), "5 bands of 8 bits, unsigned integers"),
        (tiff(np.zeros((8, 8, 13), np.uint16), photometric=1), "13 bands of 16 bits, unsigned integers"),
        (tiff(np.zeros((8, 8), np.uint64)), "1 band of 64 bits, unsigned integers"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "HEIC, which is not read (convert it"),
    ],
)
def test_a_kind_that_is_not_read_is_named_with_its_remedy(data: bytes, reason: str) -> None:
    message = str(inspect_image(data)[0])
    assert reason in message
    assert "convert it to" in message


def test_contrast_tells_one_colour_from_a_picture() -> None:
    flat = Image.new("RGB", (64, 64), (90, 120, 30))
    assert inspect_image(encoded(flat, "PNG"))[1] == 0
    assert inspect_image(encoded(flat, "JPEG"))[1] == pytest.approx(0, abs=0.005)
    one_channel = np.zeros((64, 64, 3), np.uint8)
    one_channel[:32, :, 2] = 200
    assert inspect_image(encoded(Image.fromarray(one_channel), "PNG"))[1] == pytest.approx(100 / 255)
