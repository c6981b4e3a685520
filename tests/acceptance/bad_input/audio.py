"""Audio: damaged, lying, endless, and odd but right."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from tests.acceptance.bad_input.case import Case, Wanted, flipped, named, tenths

FOUND = Path(__file__).with_name("found")
RATE = 8000  # Hz; of what is made of them
_TIME = np.arange(RATE // 4) / RATE
TONE = 0.5 * np.sin(2 * np.pi * 440 * _TIME)
FORMATS = {"WAV": "PCM_16", "FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III", "AIFF": "PCM_16"}


def recorded(wave: np.ndarray, format: str = "WAV", rate: int = RATE, **options: Any) -> bytes:
    """The file of an audio signal, (S,) or (S, C)."""
    file = io.BytesIO()
    sf.write(file, wave, rate, format=format, **options)
    return file.getvalue()


def cases() -> list[Case]:
    """All audio."""
    all_cases: list[Case] = []

    def add(name: str, data: bytes, wanted: Wanted, truth: Any = None, tolerance: float = 0.0) -> None:
        all_cases.append(Case("audio", name, data, wanted, truth, tolerance))

    for format, subtype in FORMATS.items():
        whole = recorded(TONE, format, subtype=subtype)
        lossy = format in ("OGG", "MP3")  # frames one after the other: what is cut between two is whole
        for how, data in tenths(whole):
            add(f"{format}, {how}", data, "either" if lossy else "refused")
        for how, data in flipped(whole, 12):
            add(f"{format}, {how}", data, "either")
    for name, data in _refused().items():
        add(name, data, "refused")
    for name, data in _lying().items():
        add(name, data, "either")
    for name, (data, truth, tolerance) in _odd().items():
        add(name, data, "used", truth, tolerance)
    for path in sorted(FOUND.glob("audio-*")):
        add(f"found by fuzzing: {path.name}", path.read_bytes(), "either")
    return named(all_cases)


def _refused() -> dict[str, bytes]:
    whole = recorded(TONE)
    flac = recorded(TONE, "FLAC")
    spoiled = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf}
    return {
        "no bytes": b"",
        "4096 bytes of zero": bytes(4096),
        "HTML": b"<!doctype html><title>404</title>" * 9,
        "an image": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "pickle": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94.",
        "MPEG-4": b"\0\0\0\x20ftypM4A " + bytes(400),
        "MIDI": b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk" + bytes(40),
        "WAV without a frame": recorded(np.zeros(0)),
        "FLAC without a frame": flac[:42],
        "WAV that is only a header": whole[:44],
        "WAV without the chunk fmt": whole[:12] + whole[36:],
        "WAV with 0 channels": _header(channels=0),
        "WAV with 65535 channels": _header(channels=65535),
        "WAV at 0 Hz": _header(rate=0),
        "WAV with an unknown code": _header(code=0x4242),
        "WAV that announces 2 GB": _header(announced=2**31),
        "WAV that announces one frame more": _header(announced=len(TONE) * 2 + 2),
        "FLAC that announces 2^36 - 1 frames": _flac_frames(flac, 2**36 - 1),
        "FLAC that announces one frame more": _flac_frames(flac, len(TONE) + 1),
        "a WAV of twelve days at 1 Hz": recorded(np.zeros(2**20), rate=1),
        **{f"WAV with {name}": _spoiled(value, 0) for name, value in spoiled.items()},
        **{f"WAV with {name} at its end": _spoiled(value, -1) for name, value in spoiled.items()},
        "WAV with NaN alone": recorded(np.full(50, np.nan), subtype="DOUBLE"),
    }


def _lying() -> dict[str, bytes]:
    """Headers that do not fit, of which a part is audio all the same."""
    flac = recorded(TONE, "FLAC")
    return {
        "WAV that announces no length": _header(announced=0),
        "WAV that announces an unknown length": _header(announced=2**32 - 1),
        "WAV that announces a half": _header(announced=len(TONE)),
        "WAV of 7 bits": _header(bits=7),
        "WAV at 2^32 - 1 Hz": _header(rate=2**32 - 1),
        "WAV whose frames are 3 bytes": _header(align=3),
        "WAV whose RIFF size is 0": recorded(TONE)[:4] + bytes(4) + recorded(TONE)[8:],
        "FLAC that announces a half": _flac_frames(flac, len(TONE) // 2),
        "FLAC that announces no length": _flac_frames(flac, 0),
        "WAV with an endless list": recorded(TONE)[:12] + b"LIST" + b"\xff\xff\xff\x7f" + recorded(TONE)[12:],
    }


_KEPT = 2**-15  # of the peak: samples are kept in 16 bits


def _odd() -> dict[str, tuple[bytes, np.ndarray, float]]:
    """Legitimate files that readers often get wrong: file, mono audio at 8 kHz, tolerance."""
    seen: dict[str, tuple[bytes, np.ndarray, float]] = {}
    for subtype, tolerance in {
        "PCM_U8": 4e-3, "PCM_16": 1e-4, "PCM_24": _KEPT, "PCM_32": _KEPT, "FLOAT": _KEPT, "DOUBLE": _KEPT,
        "ULAW": 0.02, "ALAW": 0.02, "MS_ADPCM": 0.05,
    }.items():  # fmt: skip
        seen[f"WAV {subtype}"] = (recorded(TONE, subtype=subtype), TONE, tolerance)
    blocks = np.concatenate([TONE, TONE[:20]])  # that code has blocks of 505 frames
    seen["WAV IMA_ADPCM"] = (recorded(blocks, subtype="IMA_ADPCM"), blocks, 0.05)
    for channels in range(1, 9):
        parts = np.stack([TONE * (number + 1) / 8 for number in range(channels)], axis=1)
        seen[f"{channels} channels"] = (recorded(parts), parts.mean(axis=1), 1e-4)
    opposed = np.stack([TONE, -TONE], axis=1)
    seen["two channels of opposite phase"] = (recorded(opposed), TONE, 1e-4)
    for rate in (1, 8, 100, 1000, 4000, 11025, 22050, 44100, 48000, 96000, 192000, 384000):
        frames = max(rate // 4, 4)
        seen[f"{rate} Hz"] = (
            recorded(np.full(frames, 0.25), rate=rate),
            np.array(0.25),
            0.02 if rate > 10 else 0.1,
        )
        # the filter rings at both ends: of four frames, that is much
    for rate in (44100, 384000):
        wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 4) / rate)
        seen[f"a tone at {rate} Hz"] = (recorded(wave, rate=rate), TONE, 0.01)
    for format, ending in {"MP3": "MP3", "OGG": "Ogg", "FLAC": "FLAC", "AIFF": "AIFF"}.items():
        seen[f"{ending} called .wav"] = (recorded(TONE, format), TONE, 0.05)
    return seen | {
        "MP3 in a RIFF": (_mp3_in_riff(), TONE, 0.05),
        "one frame": (recorded(np.array([0.5])), np.array([0.5]), 1e-3),
        "two frames": (recorded(np.array([0.5, 0.5])), np.array([0.5, 0.5]), 1e-3),
        "digital silence": (recorded(np.zeros(400)), np.zeros(400), 0),
        "an offset": (recorded(np.full(400, 0.25)), np.full(400, 0.25), 1e-4),
        "beyond full scale": (recorded(3 * TONE, subtype="FLOAT"), np.clip(3 * TONE, -1, 1), _KEPT),
        "1e30": (recorded(np.full(400, 1e30), subtype="FLOAT"), np.ones(400), _KEPT),
        "the smallest numbers": (recorded(np.full(400, 1e-40), subtype="DOUBLE"), np.zeros(400), 1e-9),
        "WAVEX of 24 bits": (recorded(TONE, "WAVEX", subtype="PCM_24"), TONE, _KEPT),
        "RF64": (recorded(TONE, "RF64"), TONE, 1e-4),
        "W64": (recorded(TONE, "W64"), TONE, 1e-4),
        "AU": (recorded(TONE, "AU"), TONE, 1e-4),
        "CAF": (recorded(TONE, "CAF"), TONE, 1e-4),
        "Opus": (recorded(TONE, "OGG", subtype="OPUS"), TONE, 0.1),
    }


def _header(
    code: int = 1,
    channels: int = 1,
    rate: int = RATE,
    bits: int = 16,
    align: int | None = None,
    announced: int | None = None,
) -> bytes:
    """The tone as WAV whose header need not be true."""
    data = (TONE * 32767).astype("<i2").tobytes()
    width = channels * bits // 8 if align is None else align
    form = struct.pack("<HHIIHH", code, channels, rate, (rate * max(width, 1)) % 2**32, width % 65536, bits)
    note = len(data) if announced is None else announced
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", note) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _flac_frames(flac: bytes, frames: int) -> bytes:
    """FLAC with another number of frames in its STREAMINFO: 36 bits behind 14 bytes of it."""
    data = bytearray(flac)
    at = data.index(b"fLaC") + 8 + 13
    data[at] = data[at] & 0xF0 | frames >> 32
    data[at + 1 : at + 5] = struct.pack(">I", frames & 0xFFFFFFFF)
    return bytes(data)


def _spoiled(value: float, offset: int) -> bytes:
    wave = TONE.copy()
    wave[offset] = value
    return recorded(wave, subtype="FLOAT")


def _mp3_in_riff() -> bytes:
    """MP3 as WAV, code 0x55."""
    data = recorded(TONE, "MP3")
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, RATE, 2000, 1, 0, 12, 1, 2, 288, 1, 0)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body
