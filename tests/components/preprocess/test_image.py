"""Images of any kind become upright RGB on white."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from components.errors import DataError
from components.preprocess.image import ImagePreprocessor

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def canonical(data: bytes | str | Path, size: int = 8, fit_mode: Any = "stretch") -> np.ndarray:
    array = ImagePreprocessor(size, fit_mode).canonical(data)
    assert array.shape == (size, size, 3)
    assert array.dtype == np.uint8
    return array


def corners(array: np.ndarray) -> list[tuple[int, ...]]:
    """Colours at top left, top right, bottom left, bottom right."""
    return [tuple(int(v) for v in array[y, x]) for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1))]


def four_colours(size: int = 16) -> Image.Image:
    """Red, green over blue, black."""
    image = Image.new("RGB", (size, size))
    half = size // 2
    for colour, corner in ((RED, (0, 0)), (GREEN, (half, 0)), (BLUE, (0, half))):
        image.paste(colour, (*corner, corner[0] + half, corner[1] + half))
    return image


@pytest.mark.parametrize(
    ("format", "tolerance"), [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("GIF", 0), ("WEBP", 40), ("JPEG", 40)]
)
def test_every_format_shows_the_same_picture(format: str, tolerance: int) -> None:
    options = {"quality": 95} if format in ("WEBP", "JPEG") else {}
    colours = np.array(corners(canonical(encoded(four_colours(), format, **options)))).astype(int)
    assert np.abs(colours - np.array([RED, GREEN, BLUE, BLACK])).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_exif_orientation_is_undone(orientation: int, format: str) -> None:
    back = {
        1: [], 2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM], 5: [Image.Transpose.TRANSPOSE], 6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE], 8: [Image.Transpose.ROTATE_270],
    }  # fmt: skip
    stored = four_colours(64)
    for step in back[orientation]:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = canonical(encoded(stored, format, exif=exif))
    assert np.abs(np.array(corners(upright)).astype(int) - [RED, GREEN, BLUE, BLACK]).max() <= 60


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_data_count_as_none() -> None:
    data = encoded(four_colours(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f", quality=95)
    assert corners(canonical(data))[0][0] > 200


class TestTransparency:
    def test_alpha_lies_on_white(self) -> None:
        layer = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
        layer.paste((255, 0, 0, 255), (0, 0, 4, 8))
        assert corners(canonical(encoded(layer))) == [RED, WHITE, RED, WHITE]

    def test_half_alpha_is_mixed(self) -> None:
        assert canonical(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128))))[0, 0].tolist() == [127, 127, 127]

    def test_grey_with_alpha_lies_on_white(self) -> None:
        assert corners(canonical(encoded(Image.new("LA", (8, 8), (0, 0))))) == [WHITE] * 4

    def test_a_transparent_palette_entry_lies_on_white(self) -> None:
        image = Image.new("P", (8, 8), 1)
        image.putpalette([255, 0, 0, 0, 0, 255])
        image.paste(0, (0, 0, 4, 8))
        assert corners(canonical(encoded(image, transparency=1))) == [RED, WHITE, RED, WHITE]
        assert corners(canonical(encoded(image))) == [RED, BLUE, RED, BLUE]

    def test_a_transparent_colour_lies_on_white(self) -> None:
        assert corners(canonical(encoded(four_colours(8), transparency=BLACK)))[3] == WHITE

    def test_transparent_webp_and_gif_lie_on_white(self) -> None:
        layer = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
        assert corners(canonical(encoded(layer, "WEBP", lossless=True))) == [WHITE] * 4
        assert corners(canonical(encoded(layer, "GIF"))) == [WHITE] * 4


class TestDepth:
    @pytest.mark.parametrize(("value", "expected"), [(0, 0), (32768, 128), (65535, 255)])
    @pytest.mark.parametrize("format", ["PNG", "TIFF"])
    def test_sixteen_bit_grey_is_scaled_from_its_full_range(
        self, value: int, expected: int, format: str
    ) -> None:
        data = encoded(Image.fromarray(np.full((8, 8), value, np.uint16)), format)
        assert canonical(data)[0, 0].tolist() == [expected] * 3

    @pytest.mark.parametrize(("top", "expected"), [(1.0, 128), (255.0, 128), (1000.0, 128)])
    def test_float_tiff_is_scaled_by_its_range(self, top: float, expected: int) -> None:
        grey = np.full((8, 8), top / 2, np.float32)
        grey[0] = top
        grey[1] = np.nan
        assert abs(int(canonical(encoded(Image.fromarray(grey), "TIFF"))[7, 0, 0]) - expected) <= 1

    def test_one_bit_and_grey_become_rgb(self) -> None:
        assert corners(canonical(encoded(Image.new("1", (8, 8), 1)))) == [WHITE] * 4
        assert canonical(encoded(Image.new("L", (8, 8), 77)))[0, 0].tolist() == [77, 77, 77]

    @pytest.mark.parametrize("format", ["JPEG", "TIFF"])
    def test_cmyk_is_not_inverted(self, format: str) -> None:
        colours = np.array(corners(canonical(encoded(four_colours().convert("CMYK"), format)))).astype(int)
        assert np.abs(colours - np.array([RED, GREEN, BLUE, BLACK])).max() <= 40


def test_the_first_frame_of_a_gif_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLUE)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert corners(canonical(data)) == [RED] * 4


class TestShape:
    WIDE = encoded(four_colours(32).crop((0, 0, 32, 16)))  # red on the left, green on the right

    def test_crop_keeps_the_centre(self) -> None:
        wide = Image.new("RGB", (30, 10), BLUE)
        wide.paste(RED, (10, 0, 20, 10))
        assert (canonical(encoded(wide), fit_mode="crop") == RED).all()

    def test_pad_puts_white_around(self) -> None:
        padded = canonical(self.WIDE, size=8, fit_mode="pad")
        assert (padded[:2] == 255).all()
        assert (padded[6:] == 255).all()
        assert corners(padded[2:6]) == [RED, GREEN, RED, GREEN]

    def test_stretch_fills_the_square(self) -> None:
        assert corners(canonical(self.WIDE)) == [RED, GREEN, RED, GREEN]

    @pytest.mark.parametrize("fit_mode", ["crop", "pad", "stretch"])
    @pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (8, 8), (7, 3)])
    def test_any_shape_becomes_square(self, fit_mode: str, shape: tuple[int, int]) -> None:
        canonical(encoded(Image.new("RGB", shape, RED)), fit_mode=fit_mode)

    def test_making_smaller_averages(self) -> None:
        checks = np.indices((256, 256)).sum(axis=0) % 2 * 255
        small = canonical(encoded(Image.fromarray(checks.astype(np.uint8))))
        assert np.abs(small.astype(int) - 127).max() <= 2

    def test_a_large_jpeg_decoded_at_a_fraction_looks_the_same(self) -> None:
        small = four_colours(64).resize((1600, 1200), Image.Resampling.BICUBIC)
        whole = canonical(encoded(small, "PNG"), size=32).astype(int)
        draft = canonical(encoded(small, "JPEG", quality=95), size=32).astype(int)
        assert np.abs(whole - draft).mean() < 3


def test_path_text_and_bytes_give_the_same(tmp_path: Path) -> None:
    data = encoded(four_colours())
    (tmp_path / "a.png").write_bytes(data)
    expected = canonical(data)
    assert (canonical(tmp_path / "a.png") == expected).all()
    assert (canonical(str(tmp_path / "a.png")) == expected).all()


@pytest.mark.parametrize("data", [b"", b"no picture", encoded(four_colours())[:60]])
def test_what_cannot_be_decoded_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"bad\.png: cannot be decoded as an image"):
        canonical(path)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        canonical(tmp_path / "gone.png")


def test_a_batch_is_channels_first() -> None:
    preprocessor = ImagePreprocessor(8, "pad")
    batch = preprocessor.collate([canonical(encoded(Image.new("RGB", (8, 8), c))) for c in (RED, GREEN)])
    assert batch["pixels"].shape == (2, 3, 8, 8)
    assert batch["pixels"].dtype == torch.uint8
    assert batch["pixels"][:, :, 0, 0].tolist() == [list(RED), list(GREEN)]
