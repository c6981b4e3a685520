"""Faults of a file, in a word."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from components.config.inputs import AudioInput
from components.data.files.audio import inspect_audio
from components.data.files.images import inspect_image
from components.data.files.media import MediaFacts, inspect, unfit
from components.data.files.media_index import MISSING, MediaIndex
from components.storage.digest import digest_bytes

NOISE = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
WAVE = 0.5 * np.sin(np.arange(8000) / 10)


def encoded(format: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(file, format, **options)
    return file.getvalue()


def recorded(format: str = "WAV", wave: np.ndarray = WAVE, rate: int = 8000, **options: Any) -> bytes:
    file = io.BytesIO()
    sf.write(file, wave, rate, format=format, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("format", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("PNG", "I;16"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
        ("TIFF", "RGB"),
        ("TIFF", "CMYK"),
        ("BMP", "RGB"),
    ],
)
def test_pictures_of_every_kind_are_fine(format: str, mode: str) -> None:
    if mode == "I;16":
        file = io.BytesIO()
        Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257).save(file, format)
        assert inspect_image(file.getvalue())[0] is None
    else:
        assert inspect_image(encoded(format, mode))[0] is None


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.02])
def test_a_cut_picture_is_noticed(format: str, share: float) -> None:
    data = encoded(format)
    assert inspect_image(data[: int(len(data) * share)])[0] is not None


def test_a_truncated_jpeg_is_called_so() -> None:
    data = encoded("JPEG")
    assert str(inspect_image(data[: len(data) // 2])[0]).startswith("truncated image")


def test_a_damaged_png_is_noticed() -> None:
    data = bytearray(encoded("PNG"))
    data[len(data) // 2] ^= 0xFF
    assert inspect_image(bytes(data))[0] is not None


def test_what_is_no_picture_is_called_so() -> None:
    assert str(inspect_image(b"<html>404</html>" * 20)[0]).startswith("not an image")
    assert str(inspect_image(recorded())[0]).startswith("not an image")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (10_000, 10_000)])
def test_a_picture_that_would_fill_memory_is_not_decoded(width: int, height: int) -> None:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    assert str(inspect_image(file.getvalue())[0]).startswith("decompression bomb")


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("WAV", {"subtype": "PCM_16"}),
        ("WAV", {"subtype": "PCM_24"}),
        ("WAV", {"subtype": "FLOAT"}),
        ("WAV", {"subtype": "PCM_U8"}),
        ("FLAC", {}),
        ("OGG", {}),
        ("OGG", {"subtype": "OPUS"}),
        ("MP3", {}),
        ("AIFF", {}),
    ],
)
def test_sounds_of_every_kind_are_fine(format: str, options: dict[str, str]) -> None:
    reason, peak, _ = inspect_audio(recorded(format, **options))
    assert reason is None
    assert peak == pytest.approx(0.5, abs=0.1)  # lossy codecs overshoot


def without_length(flac: bytes) -> bytes:
    """A FLAC as it is written to a pipe: its header says 0 samples, which stands for unknown."""
    changed = bytearray(flac)
    changed[21] &= 0xF0
    changed[22:26] = bytes(4)
    return bytes(changed)


def test_a_flac_of_unknown_length_is_read_to_its_end() -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, 80_000)
    data = recorded("FLAC", wave, 16000)
    reason, peak, _ = inspect_audio(without_length(data))
    assert reason is None
    assert peak == inspect_audio(data)[1]
    assert "lost sync" in str(inspect_audio(without_length(data)[: len(data) // 2])[0])


@pytest.mark.parametrize("name", ["first frame says the length", "no frame says it"])
def test_joined_mp3_files_are_read_to_the_end_of_the_last(name: str) -> None:
    rng = np.random.default_rng(0)
    quiet, loud = (
        recorded("MP3", rng.normal(0, size, 80_000), 16000, bitrate_mode="VARIABLE", compression_level=0.5)
        for size in (0.001, 0.2)
    )
    if name == "no frame says it":
        quiet, loud = (data[data.index(data[:2], 200) :] for data in (quiet, loud))
    reason, peak, _ = inspect_audio(quiet + loud)
    assert reason is None
    assert peak is not None
    assert peak > 0.5  # of the second file


def test_an_mp3_that_does_not_tell_its_length_is_fine() -> None:
    silent_then_loud = np.random.default_rng(0).normal(0, np.repeat([0.0, 0.2], 80_000))
    data = recorded("MP3", silent_then_loud, 16000, bitrate_mode="VARIABLE", compression_level=0.5)
    bare = data[data.index(data[:2], 200) :]  # without the first frame, which holds the length
    tagged = b"ID3\x03\x00\x00\x00\x00\x08\x00" + bytes(1024)  # a title of 1024 bytes before the audio
    assert sf.SoundFile(io.BytesIO(bare)).frames > 1.5 * len(silent_then_loud)  # a guess, and a bad one
    assert inspect_audio(bare)[0] is None
    assert inspect_audio(tagged + bare)[0] is None
    assert inspect_audio(tagged + data)[0] is None
    assert str(inspect_audio(tagged + data[: len(data) // 2])[0]).startswith("truncated audio")


@pytest.mark.parametrize("format", ["WAV", "FLAC", "AIFF", "MP3"])
def test_a_cut_sound_is_noticed(format: str) -> None:
    data = recorded(format, np.random.default_rng(0).normal(0, 0.1, 8000))
    assert inspect_audio(data[: len(data) // 2])[0] is not None


def test_a_wav_from_a_pipe_has_no_length_and_is_fine() -> None:
    data = bytearray(recorded())
    start = data.index(b"data") + 4
    data[4:8] = data[start : start + 4] = struct.pack("<I", 0xFFFFFFFF)
    assert inspect_audio(bytes(data))[0] is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(recorded(wave=np.zeros(0)), "audio without samples (0 frames)", id="header only"),
        pytest.param(b"RIFF", "not an audio file that libsndfile reads", id="four bytes"),
        pytest.param(encoded("PNG"), "not an audio file that libsndfile reads", id="a picture"),
        pytest.param(
            recorded(wave=np.array([0.1, np.nan, 0.2]), subtype="FLOAT"),
            "audio with samples that are not numbers",
            id="NaN",
        ),
        pytest.param(
            recorded(wave=np.array([0.1, np.inf]), subtype="FLOAT"),
            "audio with samples that are not numbers",
            id="infinite",
        ),
    ],
)
def test_unusable_sound_has_a_reason(data: bytes, reason: str) -> None:
    assert str(inspect_audio(data)[0]).startswith(reason)


def test_an_empty_file_is_called_so() -> None:
    assert inspect(b"", "audio").reason == "empty file"
    assert inspect(b"", "image").reason == "empty file"


@pytest.mark.parametrize(
    ("wave", "silent"),
    [
        (np.zeros(800), True),
        (np.full(800, 0.25), True),  # a constant offset
        (np.random.default_rng(0).normal(0, 1e-5, 800), True),
        (WAVE / 100, False),
    ],
)
def test_silence_is_told_from_sound(wave: np.ndarray, silent: bool) -> None:
    assert inspect(recorded(wave=wave, subtype="FLOAT"), "audio").silent == silent


class TestIndex:
    @pytest.fixture
    def openings(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Paths in the order in which they are read."""
        import components.data.files.media_index as module

        paths: list[str] = []
        original = module.read_bytes
        monkeypatch.setattr(module, "read_bytes", lambda path: (paths.append(path), original(path))[1])
        return paths

    def test_each_file_is_opened_once_and_never_again_while_unchanged(
        self, tmp_path: Path, openings: list[str]
    ) -> None:
        good, bad = tmp_path / "good.png", tmp_path / "bad.png"
        good.write_bytes(encoded("PNG"))
        bad.write_bytes(b"no picture at all")
        files = [(str(path), "image") for path in (good, bad, good, bad)]
        first = look(tmp_path, files)
        assert sorted(openings) == sorted([str(good), str(bad)])
        assert first[str(good), "image"].digest == digest_bytes(good.read_bytes())
        assert look(tmp_path, files) == first
        assert len(openings) == 2

    def test_a_changed_file_is_opened_again(self, tmp_path: Path, openings: list[str]) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(encoded("PNG"))
        file = (str(path), "image")
        before = look(tmp_path, [file])[file]
        path.write_bytes(encoded("JPEG"))
        after = look(tmp_path, [file])[file]
        assert before.digest != after.digest == digest_bytes(path.read_bytes())
        assert len(openings) == 2

    def test_a_file_that_appears_later_is_found(self, tmp_path: Path) -> None:
        file = (str(tmp_path / "late.png"), "image")
        assert look(tmp_path, [file])[file].reason == MISSING
        (tmp_path / "late.png").write_bytes(encoded("PNG"))
        assert look(tmp_path, [file])[file].reason is None

    def test_a_damaged_index_is_made_again(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "a.png").write_bytes(encoded("PNG"))
        (tmp_path / "index.sqlite").write_bytes(b"SQLite, but not really" * 100)
        file = (str(tmp_path / "a.png"), "image")
        assert look(tmp_path, [file])[file].reason is None
        assert "cannot be read" in caplog.text

    @pytest.mark.parametrize("name", [".", "a\0b.png"])
    def test_a_path_that_is_no_file_has_a_reason(self, tmp_path: Path, name: str) -> None:
        file = (f"{tmp_path}/{name}", "image")
        assert str(look(tmp_path, [file])[file].reason).startswith("cannot be read")

    def test_more_files_than_are_asked_for_at_once_are_all_looked_at(self, tmp_path: Path) -> None:
        (tmp_path / "1050.png").write_bytes(encoded("PNG"))
        files = [(str(tmp_path / f"{number}.png"), "image") for number in range(1100)]
        facts = look(tmp_path, files)
        assert list(facts) == files
        assert [path for (path, _), fact in facts.items() if fact.reason is None] == [files[1050][0]]

    def test_of_many_files_only_the_changed_are_opened_again(
        self, tmp_path: Path, openings: list[str]
    ) -> None:
        files = [(str(tmp_path / f"{number}.png"), "image") for number in range(600)]
        for path, _ in files:
            Path(path).write_bytes(encoded("PNG"))
        before = look(tmp_path, files)
        openings.clear()
        Path(files[3][0]).write_bytes(encoded("JPEG"))
        os.utime(files[599][0], ns=(1, 1))
        after = look(tmp_path, files)
        assert sorted(openings) == sorted([files[3][0], files[599][0]])
        assert after[files[599]] == before[files[599]], "touched, but equal"
        assert {file for file in files if after[file] != before[file]} == {files[3]}

    def test_what_other_checking_code_found_is_forgotten(
        self, tmp_path: Path, openings: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a.png").write_bytes(encoded("PNG"))
        file = (str(tmp_path / "a.png"), "image")
        look(tmp_path, [file])
        monkeypatch.setattr("components.data.files.media_index.PIL.__version__", "another")
        look(tmp_path, [file])
        assert len(openings) == 2


def look(folder: Path, files: list[tuple[str, str]]) -> dict[tuple[str, str], MediaFacts]:
    with MediaIndex(folder / "index.sqlite") as index:
        return index.inspect(files)


@pytest.mark.parametrize(
    ("options", "frames", "rate", "seekable", "is_refused"),
    [
        ({"keep": "loudest", "rate": 48_000}, 21_240_000, 1000, True, True),
        ({"keep": "middle", "rate": 48_000}, 21_240_000, 1000, True, False),
        ({"keep": "middle", "trim_silence": True}, 2**26 + 1, 48_000, True, True),
        ({"keep": "loudest"}, 2**26, 48_000, True, False),
        ({"keep": "middle"}, 2**27, 44_100, False, True),
        ({"keep": "start"}, 2**27, 44_100, False, False),
    ],
)
def test_a_clip_that_is_too_long_to_be_prepared_whole_is_bad(
    options: dict[str, Any], frames: int, rate: int, seekable: bool, is_refused: bool
) -> None:
    facts = MediaFacts("x", None, 0.5, frames=frames, rate=rate, seekable=seekable)
    reason = unfit(AudioInput(columns=["sound"], **options), facts)
    assert (reason is not None and reason.startswith("audio too long to be decoded whole")) == is_refused
