"""Audio is decoded to the end that its file promises, or the file is refused with both lengths."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from components.data.files.audio import UnfitAudioError, audio_file, blocks, inspect_audio

RATE = 8000
WAVE = 0.3 * np.sin(np.arange(RATE) / 10) * np.linspace(1, 0.5, RATE)

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="ffmpeg is not installed (infra/install-test-packages.sh)"
)


def recorded(format: str, wave: np.ndarray = WAVE, **options: Any) -> bytes:
    file = io.BytesIO()
    sf.write(file, wave, RATE, format=format, **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """Float32 (S,) of the first channel."""
    with audio_file(data) as sound:
        return np.concatenate([block[:, 0] for block in blocks(sound)])


def with_number(data: bytes, offset: int, format: str, number: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(format, changed, offset, number)
    return bytes(changed)


def without_length(format: str, unknown: int) -> bytes:
    """The file as it is written to a pipe, where a writer cannot go back to the header."""
    data = recorded("WAV" if format == "RIFX" else format, **({"endian": "BIG"} if format == "RIFX" else {}))
    at = data.find(b"SSND" if format == "AIFF" else b"data", 60 if format == "CAF" else 0) + 4
    wide = -1 if unknown else 0  # the fields of 64 bits
    match format:
        case "WAV" | "WAVEX":
            return with_number(with_number(data, 4, "<I", unknown), at, "<I", unknown)
        case "RIFX":
            return with_number(data, at, ">I", unknown)
        case "RF64":
            return with_number(with_number(data, 20, "<q", wide), 28, "<q", wide)
        case "W64":
            return with_number(with_number(data, 16, "<q", wide), at + 12, "<q", wide)
        case "AIFF":
            return with_number(with_number(data, data.index(b"COMM") + 10, ">I", unknown), at, ">I", unknown)
        case "AU":
            return with_number(data, 8, ">I", unknown)
    return with_number(data, at, ">q", -1)  # CAF knows no other


@pytest.mark.parametrize("unknown", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF024, 0x80000000])
@pytest.mark.parametrize("format", ["WAV", "WAVEX", "RIFX", "RF64", "W64", "AIFF", "AU", "CAF"])
def test_a_file_from_a_pipe_has_no_length_and_is_read_to_its_end(format: str, unknown: int) -> None:
    data = without_length(format, unknown)
    assert inspect_audio(data)[0] is None
    assert np.abs(decoded(data) - WAVE).max() < 1e-4


@pytest.mark.parametrize("tail", [b"", b"LIST\x04\0\0\0INFO", b"id3 \x02\0\0\0\0\0" + b"LIST\x04\0\0\0INFO"])
def test_a_wav_without_sound_but_with_notes_is_empty(tail: bytes) -> None:
    data = recorded("WAV", np.zeros(0)) + tail
    assert inspect_audio(data)[0] == "audio without samples (0 frames)"


@pytest.mark.parametrize("share", [0.995, 0.9, 0.5, 0.25])
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("WAV", {}),
        ("WAV", {"subtype": "ULAW"}),
        ("WAV", {"subtype": "IMA_ADPCM"}),
        ("WAV", {"endian": "BIG"}),
        ("WAVEX", {}),
        ("RF64", {}),
        ("W64", {}),
        ("AIFF", {}),
        ("AIFF", {"subtype": "FLOAT"}),
        ("AU", {}),
        ("AU", {"endian": "LITTLE"}),
        ("CAF", {}),
        ("SVX", {}),
        ("NIST", {}),
        ("OGG", {}),
        ("OGG", {"subtype": "OPUS"}),
        ("FLAC", {}),
        ("MP3", {}),
    ],
)
def test_a_file_that_is_cut_short_is_refused_with_both_lengths(
    format: str, options: dict[str, str], share: float
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE)
    data = recorded(format, noise, **options)
    reason = str(inspect_audio(data[: int(share * len(data))])[0])
    if format in ("FLAC", "CAF") and not reason.startswith("truncated"):
        assert reason.startswith(("damaged audio", "not an audio file"))
    else:
        assert reason.startswith("truncated audio (")
        have, promised = map(int, re.findall(r"\((\d+) of (\d+) ", reason)[0])
        assert have < promised


@needs_ffmpeg
def test_joined_ogg_files_are_read_to_the_end_of_the_last() -> None:
    one, two = recorded("OGG"), recorded("OGG", WAVE[: RATE // 2])
    reason, *_ = inspect_audio(one + two)
    assert reason is None
    assert len(decoded(one + two)) == pytest.approx(1.5 * RATE, abs=600)  # ffmpeg pads to whole blocks


def test_silence_is_measured_after_mixing() -> None:
    left = WAVE.astype(np.float32)
    for right, peak in ((left, 0.3), (-left, 0.3), (-0.9 * left, 0.015), (0 * left, 0.15)):
        data = recorded("WAV", np.stack([left, right], axis=1), subtype="FLOAT")
        assert inspect_audio(data)[1] == pytest.approx(peak, rel=0.1)


ENCODERS: dict[str, list[str]] = {
    "m4a": ["-c:a", "aac", "-f", "ipod"],
    "m4a with its index first": ["-c:a", "aac", "-movflags", "faststart", "-f", "ipod"],
    "m4a lossless": ["-c:a", "alac", "-f", "ipod"],
    "mp4 in fragments": ["-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-f", "mp4"],
    "3gp": ["-c:a", "aac", "-f", "3gp"],
    "aac": ["-c:a", "aac", "-f", "adts"],
    "wma": ["-c:a", "wmav2", "-f", "asf"],
    "webm": ["-c:a", "libopus", "-f", "webm"],
    "mka": ["-c:a", "flac", "-f", "matroska"],
    "wavpack": ["-c:a", "wavpack", "-f", "wv"],
    "true audio": ["-c:a", "tta", "-f", "tta"],
    "caf with opus": ["-c:a", "libopus", "-f", "caf"],
    "speex": ["-c:a", "libspeex", "-f", "ogg"],
    "flac in ogg": ["-c:a", "flac", "-f", "ogg"],
    "wma in wav": ["-c:a", "wmav2", "-f", "wav"],
}


class TestFfmpeg:
    def encoded(self, kind: str, folder: Path, wave: np.ndarray) -> bytes:
        source, target = folder / "source.wav", folder / "target"
        sf.write(source, wave, 16000)
        command = ["ffmpeg", "-loglevel", "error", "-y", "-i", source, *ENCODERS[kind], target]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return target.read_bytes()

    @needs_ffmpeg
    @pytest.mark.parametrize("kind", ENCODERS)
    def test_what_phones_and_browsers_record_is_read(self, kind: str, tmp_path: Path) -> None:
        wave = 0.3 * np.sin(np.arange(2 * 16000) / 16000 * 2 * np.pi * 440)
        data = self.encoded(kind, tmp_path, wave)
        reason, peak, _ = inspect_audio(data)
        assert reason is None
        assert peak == pytest.approx(0.3, abs=0.05)
        with audio_file(data) as sound:
            heard = np.concatenate([block[:, 0] for block in blocks(sound)])
            rate = sound.samplerate
        assert len(heard) / rate == pytest.approx(2, abs=0.15)  # encoders pad both ends
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        assert spectrum.argmax() * rate / len(heard) == pytest.approx(440, abs=2)

    @needs_ffmpeg
    @pytest.mark.parametrize("kind", ENCODERS)
    def test_what_is_cut_short_is_refused(self, kind: str, tmp_path: Path) -> None:
        data = self.encoded(kind, tmp_path, np.random.default_rng(0).normal(0, 0.1, 4 * 16000))
        assert inspect_audio(data)[0] is None
        for share in (0.9, 0.5):
            reason = str(inspect_audio(data[: int(share * len(data))])[0])
            assert "truncated" in reason or "damaged" in reason, reason

    @needs_ffmpeg
    def test_amr_of_a_telephone_is_read(self) -> None:
        silence = b"#!AMR\n" + 50 * (b"\x3c" + bytes(31))  # frames of 20 ms at 12.2 kbit/s
        with audio_file(silence) as sound:
            assert sound.samplerate == 8000
            assert sum(map(len, blocks(sound))) == 8000

    @needs_ffmpeg
    def test_a_film_without_sound_is_refused(self, tmp_path: Path) -> None:
        target = tmp_path / "film.mp4"
        source = ["-f", "lavfi", "-i", "color=size=64x64:duration=0.2"]
        subprocess.run(
            ["ffmpeg", "-loglevel", "error", *source, target], check=True, stdin=subprocess.DEVNULL
        )
        assert inspect_audio(target.read_bytes())[0] == "MP4 audio (m4a) without an audio stream"

    @needs_ffmpeg
    def test_a_playlist_in_disguise_opens_no_other_file(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret.wav"
        sf.write(secret, WAVE, RATE)
        for playlist in (f"ffconcat version 1.0\nfile '{secret}'\n", f"#EXTM3U\n#EXTINF:1,\n{secret}\n"):
            assert inspect_audio(playlist.encode())[0] is not None

    def test_without_ffmpeg_the_reason_names_the_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        reason, *_ = inspect_audio(b"\0\0\0\x20ftypM4A " + bytes(200))
        assert reason == (
            "MP4 audio (m4a), which needs the program ffmpeg (install it, or convert the file to FLAC, WAV, "
            "OGG or MP3)"
        )

    @needs_ffmpeg
    def test_a_decoder_that_never_ends_is_stopped(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "ffmpeg").write_text("#!/bin/sh\nsleep 30\n")
        (tmp_path / "ffmpeg").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setattr("components.data.files.ffmpeg.SECONDS", 0.2)
        with (
            pytest.raises(UnfitAudioError, match=r"does not decode within 0\.2 s"),
            audio_file(b"TTA1" + bytes(99)),
        ):
            pass
