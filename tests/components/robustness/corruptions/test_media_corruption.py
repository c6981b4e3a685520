"""Damaged images and audio: read by the model's own decoders, worse at every step."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from components.errors import DataError
from components.preprocess.audio import AudioPreprocessor
from components.preprocess.image import ImagePreprocessor
from components.robustness.corruptions import SEVERITIES
from components.robustness.corruptions.audio import AUDIO
from components.robustness.corruptions.image import IMAGE
from tests.components.robustness.corruptions.test_corruption import damaged, picture, sound


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)), dtype=np.float64)


def wave(data: bytes) -> np.ndarray:
    return sf.read(io.BytesIO(data), always_2d=True)[0]


def psnr(noisy: np.ndarray, clean: np.ndarray) -> float:
    return float(20 * np.log10(255) - 10 * np.log10(np.square(noisy - clean).mean()))


def snr(noisy: np.ndarray, clean: np.ndarray) -> float:
    return float(10 * np.log10(np.square(clean).mean() / np.square(noisy - clean).mean()))


class TestPictures:
    @pytest.mark.parametrize("name", IMAGE)
    def test_the_peak_signal_to_noise_ratio_falls_with_severity(self, name: str) -> None:
        clean = pixels(picture())
        ratios = [psnr(pixels(damaged("image", name, severity)), clean) for severity in SEVERITIES]
        assert all(higher > lower for higher, lower in pairwise(ratios)), ratios

    def test_noise_has_the_deviation_that_it_says(self) -> None:
        grey = io.BytesIO()
        Image.new("RGB", (200, 200), (128, 128, 128)).save(grey, "PNG")
        noisy = pixels(damaged("image", "gaussian_noise", 1, grey.getvalue()))
        assert (noisy - 128).std() == pytest.approx(0.08 * 255, rel=0.02)  # of 120,000 draws

    @pytest.mark.parametrize(
        ("severity", "share"), list(zip(SEVERITIES, (0.05, 0.1, 0.2, 0.35, 0.5), strict=True))
    )
    def test_occlusion_covers_the_share_that_it_says(self, severity: int, share: float) -> None:
        rng = np.random.default_rng(0)
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 60, (200, 100, 3), dtype=np.uint8)).save(file, "PNG")
        changed = (
            pixels(damaged("image", "occlusion", severity, file.getvalue())) != pixels(file.getvalue())
        ).any(2)
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        area = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1) / changed.size
        assert area == pytest.approx(share, abs=0.02)  # whole pixels: at most two rows and columns more

    def test_what_is_covered_stays_covered(self) -> None:
        clean = pixels(picture())
        before = np.zeros(clean.shape[:2], dtype=bool)
        for severity in SEVERITIES:
            changed = (pixels(damaged("image", "occlusion", severity)) != clean).any(axis=2)
            assert (changed | ~before).all()
            before = changed

    def test_noise_is_one_pattern_scaled(self) -> None:
        file = io.BytesIO()
        Image.new("RGB", (64, 64), (128, 128, 128)).save(file, "PNG")
        light, heavy = (pixels(damaged("image", "gaussian_noise", s, file.getvalue())) - 128 for s in (1, 2))
        assert np.corrcoef(light.ravel(), heavy.ravel())[0, 1] > 0.99

    @pytest.mark.parametrize("name", IMAGE)
    @pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16", "1"])
    def test_any_kind_of_picture_becomes_one_that_the_model_reads(self, name: str, mode: str) -> None:
        kind = {"CMYK": "JPEG"}.get(mode, "PNG")
        grey = Image.fromarray(np.arange(0, 60000, 60, dtype=np.uint16).reshape(25, 40))
        image = grey if mode == "I;16" else Image.open(io.BytesIO(picture())).convert(mode)
        file = io.BytesIO()
        image.save(file, kind)
        content = damaged("image", name, 3, file.getvalue())
        assert ImagePreprocessor(32, "pad").canonical(content).shape == (32, 32, 3)

    @pytest.mark.parametrize("name", IMAGE)
    def test_one_pixel_can_be_damaged(self, name: str) -> None:
        file = io.BytesIO()
        Image.new("RGB", (1, 1), (9, 200, 9)).save(file, "PNG")
        assert pixels(damaged("image", name, 5, file.getvalue())).shape == (1, 1, 3)

    def test_a_large_picture_becomes_small_first_and_keeps_its_shape(self) -> None:
        file = io.BytesIO()
        Image.new("RGB", (2000, 1000), (90, 120, 30)).save(file, "JPEG")
        assert Image.open(io.BytesIO(damaged("image", "jpeg", 1, file.getvalue()))).size == (256, 128)

    def test_a_path_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(picture())
        assert damaged("image", "jpeg", 2, str(path)) == damaged("image", "jpeg", 2)

    def test_what_is_no_picture_is_told(self) -> None:
        with pytest.raises(DataError, match="cannot be decoded as an image"):
            damaged("image", "jpeg", 1, b"nonsense")


class TestSound:
    @pytest.mark.parametrize("name", AUDIO)
    def test_the_signal_to_noise_ratio_falls_with_severity(self, name: str) -> None:
        clean = wave(sound())
        ratios = [snr(wave(damaged("audio", name, severity)), clean) for severity in SEVERITIES]
        assert ratios == sorted(ratios, reverse=True)
        assert len(set(ratios)) >= 4, "two steps may lose the same few of 25 packets"

    def test_noise_is_at_the_ratio_that_it_says(self) -> None:
        clean = wave(sound())
        ratios = [snr(wave(damaged("audio", "white_noise", severity)), clean) for severity in SEVERITIES]
        assert ratios == pytest.approx([20, 15, 10, 5, 0], abs=1e-3)

    def test_clipping_cuts_at_the_share_of_the_peak_that_it_says(self) -> None:
        peak = np.abs(wave(sound())).max()
        peaks = [np.abs(wave(damaged("audio", "clipping", severity))).max() / peak for severity in SEVERITIES]
        assert peaks == pytest.approx([0.5, 0.3, 0.2, 0.1, 0.05], abs=1e-6)

    def test_a_packet_that_is_lost_stays_lost(self) -> None:
        before = np.zeros(4000, dtype=bool)
        for severity in SEVERITIES:
            silent = (wave(damaged("audio", "dropout", severity)) == 0).all(axis=1)
            assert (silent | ~before).all()
            before = silent
        packets = before.reshape(-1, 160)  # 20 ms at 8 kHz
        assert 0.2 < packets.all(axis=1).mean() < 0.8  # 25 draws at a chance of .5

    @pytest.mark.parametrize("name", AUDIO)
    def test_rate_channels_and_length_stay(self, name: str) -> None:
        info = sf.info(io.BytesIO(damaged("audio", name, 4)))
        assert (info.samplerate, info.channels, info.frames) == (8000, 2, 4000)
        assert (info.format, info.subtype) == ("WAV", "FLOAT")

    @pytest.mark.parametrize("name", AUDIO)
    @pytest.mark.parametrize("level", [0.0, 0.5])
    def test_the_model_reads_it_even_if_silent_or_of_one_sample(self, name: str, level: float) -> None:
        preprocessor = AudioPreprocessor(16000, 0.4, "middle", False, True)
        for frames in (1, 3000):
            file = io.BytesIO()
            sf.write(file, np.full(frames, level), 8000, format="WAV")
            samples = preprocessor.canonical(damaged("audio", name, 5, file.getvalue()))
            assert np.isfinite(samples).all()
            assert len(samples)

    def test_what_is_no_sound_is_told(self) -> None:
        with pytest.raises(DataError, match="cannot be decoded as audio"):
            damaged("audio", "clipping", 1, b"nonsense")
