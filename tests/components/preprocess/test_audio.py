"""Audio of any kind becomes mono at one rate, length and level."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

from components.errors import DataError
from components.preprocess.audio import AudioPreprocessor, Keep
from components.preprocess.pcm import pack, unpack

RATE = 8000


def sine(
    seconds: float = 0.5, frequency: float = 440.0, rate: int = RATE, amplitude: float = 0.5
) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def recorded(wave: np.ndarray, rate: int = RATE, format: str = "WAV", **options: Any) -> bytes:
    file = io.BytesIO()
    sf.write(file, wave, rate, format=format, **options)
    return file.getvalue()


def preprocessor(**options: Any) -> AudioPreprocessor:
    settings = {"rate": RATE, "seconds": 0.5, "keep": "start", "trim_silence": False, "normalise": False}
    return AudioPreprocessor(**(settings | options))


def heard(by: AudioPreprocessor, data: bytes) -> np.ndarray:
    """Float32 (S,) of what the preprocessor makes."""
    return unpack(by.canonical(data))


def pitch(wave: np.ndarray, rate: int = RATE) -> float:
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 16))
    return float(spectrum.argmax() * rate / (1 << 16))


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("WAV", {"subtype": "PCM_16"}),
        ("WAV", {"subtype": "PCM_24"}),
        ("WAV", {"subtype": "PCM_U8"}),
        ("WAV", {"subtype": "FLOAT"}),
        ("FLAC", {"subtype": "PCM_24"}),
        ("OGG", {}),
        ("OGG", {"subtype": "OPUS"}),
        ("MP3", {}),
        ("AIFF", {}),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_gives_the_same_sound(format: str, options: dict[str, str], channels: int) -> None:
    wave = heard(preprocessor(), recorded(np.tile(sine()[:, None], channels), format=format, **options))
    assert wave.dtype == np.float32
    assert len(wave) == pytest.approx(4000, abs=2)
    assert pitch(wave) == pytest.approx(440, abs=3)
    assert np.abs(wave[500:-500]).max() == pytest.approx(0.5, abs=0.1)  # lossy codecs overshoot


def test_channels_are_averaged() -> None:
    wave = heard(preprocessor(), recorded(np.stack([np.full(800, 0.5), np.full(800, 0.1)], axis=1)))
    assert wave == pytest.approx(np.full(800, 0.3), abs=1e-4)


@pytest.mark.parametrize("rate", [4000, 11025, 16000, 44100, 48000])
def test_the_pitch_survives_resampling(rate: int) -> None:
    wave = heard(preprocessor(), recorded(sine(rate=rate), rate))
    assert len(wave) == pytest.approx(4000, abs=1)
    assert pitch(wave) == pytest.approx(440, abs=2)


def test_what_the_new_rate_cannot_hold_is_filtered_out() -> None:
    wave = heard(preprocessor(), recorded(sine(frequency=6000, rate=48000), 48000))
    assert np.abs(wave[500:-500]).max() < 1e-3  # -54 dB; without the filter it would fold to 2 kHz


class TestKeep:
    STEPS = np.repeat([0.1, 0.2, 0.6, 0.4], 4000)  # four parts of 0.5 s

    @pytest.mark.parametrize(("keep", "value"), [("start", 0.1), ("end", 0.4), ("loudest", 0.6)])
    def test_a_part_of_a_longer_sound_is_kept(self, keep: str, value: float) -> None:
        wave = heard(preprocessor(keep=keep), recorded(self.STEPS))
        assert wave == pytest.approx(np.full(4000, value), abs=1e-3)

    def test_the_middle_is_kept(self) -> None:
        wave = heard(preprocessor(keep="middle"), recorded(self.STEPS))
        assert wave == pytest.approx(np.repeat([0.2, 0.6], 2000), abs=1e-3)

    @pytest.mark.parametrize("keep", ["start", "middle", "end"])
    @pytest.mark.parametrize("rate", [8000, 44100])
    def test_reading_only_the_part_gives_what_reading_all_gives(self, keep: Any, rate: int) -> None:
        noise = np.convolve(np.random.default_rng(0).normal(0, 0.1, 10 * rate), np.ones(8) / 8, "same")
        data = recorded(noise, rate, subtype="FLOAT")
        part = heard(preprocessor(keep=keep), data)
        whole = heard(preprocessor(keep=keep, seconds=20), data)
        start = {"start": 0, "middle": (len(whole) - 4000) // 2, "end": len(whole) - 4000}[keep]
        assert len(part) == 4000
        assert (
            np.abs(part - whole[start : start + 4000]).max() < 2e-2
        )  # RMS .035: at most a part of a sample apart

    @pytest.mark.parametrize("keep", ["start", "middle", "end", "loudest"])
    def test_an_mp3_that_does_not_tell_its_length_is_read(self, keep: Any) -> None:
        silent_then_loud = np.random.default_rng(0).normal(0, np.repeat([0.0, 0.2], 80_000))
        data = recorded(silent_then_loud, 16000, format="MP3", bitrate_mode="VARIABLE", compression_level=0.5)
        bare = data[data.index(data[:2], 200) :]  # without the first frame, which holds the length
        assert sf.SoundFile(io.BytesIO(bare)).frames > 1.5 * len(silent_then_loud)  # a guess, and a bad one
        assert len(heard(preprocessor(keep=keep), bare)) == 4000

    @pytest.mark.parametrize("keep", ["start", "middle", "end", "loudest"])
    def test_a_shorter_sound_is_whole(self, keep: str) -> None:
        wave = heard(preprocessor(keep=keep, seconds=3), recorded(self.STEPS))
        assert wave == pytest.approx(self.STEPS, abs=1e-3)


class TestSilence:
    def test_both_ends_are_trimmed(self) -> None:
        padded = np.concatenate([np.zeros(1000), sine(0.1), np.full(1000, 0.001)])
        wave = heard(preprocessor(trim_silence=True), recorded(padded))
        assert len(wave) == pytest.approx(800, abs=10)

    @pytest.mark.parametrize("normalise", [True, False])
    def test_a_silent_sound_stays_silent(self, normalise: bool) -> None:
        wave = heard(preprocessor(trim_silence=True, normalise=normalise), recorded(np.zeros(800)))
        assert wave.tolist() == [0.0] * 800


class TestLevel:
    @pytest.mark.parametrize("amplitude", [0.001, 0.1, 0.9])
    def test_every_sound_has_the_same_rms(self, amplitude: float) -> None:
        data = recorded(sine(amplitude=amplitude), subtype="FLOAT")
        wave = heard(preprocessor(normalise=True), data)
        assert np.sqrt(np.square(wave).mean()) == pytest.approx(0.1, rel=1e-3)

    def test_a_click_is_not_clipped(self) -> None:
        click = np.zeros(4000)
        click[100] = 0.5
        wave = heard(preprocessor(normalise=True), recorded(click))
        assert np.abs(wave).max() == pytest.approx(1.0, abs=2**-15)

    def test_without_it_only_what_is_beyond_full_scale_changes(self) -> None:
        wave = heard(preprocessor(), recorded(np.array([0.5, 1.7, -2.0]), subtype="FLOAT"))
        assert wave.tolist() == [0.5, 1.0 - 2**-15, -1.0]  # the loudest of 16 bits


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("keep", ["middle", "loudest"])
def test_samples_that_are_not_numbers_are_never_taken_for_silence(wrong: float, keep: Keep) -> None:
    data = recorded(np.array([0.5, wrong, 0.25]), subtype="FLOAT")
    with pytest.raises(DataError, match="samples that are not numbers"):
        preprocessor(keep=keep).canonical(data)


def test_channels_of_opposite_phase_do_not_cancel() -> None:
    left = np.sin(np.arange(16_000) * 0.05) * 0.3
    whole = AudioPreprocessor(16_000, 1.0, "start", trim_silence=False, normalise=False)
    for channels in ([left, -left], [0 * left, left, -left]):
        wave = unpack(whole.canonical(recorded(np.stack(channels, 1), 16_000, subtype="FLOAT")))
        assert np.abs(wave - left).max() < 1e-4
    mixed = unpack(whole.canonical(recorded(np.stack([left, left / 2], 1), 16_000, subtype="FLOAT")))
    assert np.abs(mixed - 0.75 * left).max() < 1e-4


def test_what_is_missing_at_the_end_is_never_taken_for_silence() -> None:
    with pytest.raises(DataError, match="truncated"):
        preprocessor().canonical(recorded(sine())[:-400])


def test_a_short_part_of_a_slow_sound_has_a_sample() -> None:
    wave = heard(preprocessor(seconds=0.01), recorded(np.full(50, 0.25), 1))
    assert len(wave) == preprocessor(seconds=0.01).samples


def test_days_of_sound_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(DataError, match="too long"):
        preprocessor(keep="loudest").canonical(recorded(np.zeros(30_000), 1))


def test_one_sample_is_enough() -> None:
    assert len(heard(preprocessor(rate=1000), recorded(np.array([0.5]), 48000))) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be decoded as audio"),
        (b"no sound", "cannot be decoded as audio"),
        (recorded(np.zeros(0)), "audio without samples"),
    ],
)
def test_what_cannot_be_decoded_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "bad.wav").write_bytes(data)
    with pytest.raises(DataError, match=rf"bad\.wav: {message}"):
        preprocessor().canonical(tmp_path / "bad.wav")


def test_a_batch_is_padded_to_the_full_length() -> None:
    batch = preprocessor().collate([pack(np.full(length, 0.5, np.float32)) for length in (3, 4000)])
    assert batch["wave"].shape == (2, 4000)
    assert batch["wave"].dtype == torch.float32
    assert batch["length"].tolist() == [3, 4000]
    assert batch["wave"].sum(dim=1).tolist() == [1.5, 2000.0]


@pytest.mark.parametrize("keep", ["loudest", "middle"])
def test_hours_are_not_decoded_whole(keep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("components.preprocess.audio", "components.data.files.audio"):
        monkeypatch.setattr(f"{module}.MOST_WHOLE", 20_000)
    file = io.BytesIO()
    sf.write(file, np.full(8000, 0.1), 8000, format="FLAC")
    trimmed = AudioPreprocessor(48_000, 0.1, keep, trim_silence=True, normalise=False)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="too long to be decoded whole"):
        trimmed.canonical(file.getvalue())
    part = AudioPreprocessor(48_000, 0.1, "middle", trim_silence=False, normalise=False)
    assert len(part.canonical(file.getvalue())) == 1 + 4800
