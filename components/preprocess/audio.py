"""Audio of any kind to mono at one rate, of at most one length and of one loudness."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import numpy as np
import soundfile as sf
import soxr
import torch

from components.data.files.audio import (
    MOST_WHOLE,
    Length,
    Mixdown,
    UnfitAudioError,
    audio_file,
    blocks,
    fewer_than_declared,
)
from components.data.files.content import MediaValue, media_bytes, named
from components.errors import DataError
from components.preprocess.pcm import pack, unpack
from components.preprocess.protocol import Samples

Keep = Literal["start", "middle", "end", "loudest"]

LEVEL = 0.1  # RMS that clips are brought to: -20 dBFS
_SILENCE = 0.01  # 40 dB below the peak
_MARGIN = 0.1  # seconds read beyond a kept part, so that the resampling filter has no edge in it


class AudioPreprocessor:
    """Decode, mix to mono, resample, trim, keep a part, bring to one level.

    Args:
        rate: Sampling rate of the result in Hz.
        seconds: Longest result.
        keep: Which part of longer audio is kept.
        trim_silence: Cut what is 40 dB below the peak at both ends.
        normalise: Bring to one RMS level, as far as the peak allows.
    """

    modality = "audio"

    def __init__(self, rate: int, seconds: float, keep: Keep, trim_silence: bool, normalise: bool) -> None:
        self.rate = rate
        self.seconds = seconds
        self.keep: Keep = keep
        self.trim_silence = trim_silence
        self.normalise = normalise

    @property
    def samples(self) -> int:
        """Samples of the longest result."""
        return max(1, round(self.rate * self.seconds))

    def fit(self, samples: Samples) -> None:
        """Nothing is learned."""

    def state(self) -> dict[str, Any]:
        return {
            "modality": self.modality,
            "rate": self.rate,
            "seconds": self.seconds,
            "keep": self.keep,
            "trim_silence": self.trim_silence,
            "normalise": self.normalise,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(**{name: value for name, value in state.items() if name != "modality"})

    def canonical(self, value: MediaValue) -> np.ndarray:
        """Mono audio in [-1, 1], packed in int16 (1 + S,), 1 <= S <= samples: components/preprocess/pcm.py.

        Raises:
            DataError: If the file cannot be read or decoded, or holds no samples.
        """
        data = media_bytes(value)
        try:
            wave = self._decode(data)
        except (sf.SoundFileError, RuntimeError, TypeError, ValueError) as error:
            raise DataError(f"{named(value)}: cannot be decoded as audio: {error}") from error
        if len(wave) == 0:
            raise DataError(f"{named(value)}: audio without samples")
        if self.trim_silence:
            wave = trim(wave)
        wave = KEEPS[self.keep](wave, self.samples)
        if self.normalise:
            wave = level(wave)
        return pack(np.clip(wave, -1.0, 1.0, dtype=np.float32))

    def collate(self, rows: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """``wave``: float32 (B, samples), zeros after the end; ``length``: int64 (B,)."""
        wave = np.zeros((len(rows), self.samples), np.float32)
        for row, packed in zip(wave, rows, strict=True):
            row[: len(packed) - 1] = unpack(packed)
        return {"wave": torch.from_numpy(wave), "length": torch.tensor([len(packed) - 1 for packed in rows])}

    def _decode(self, data: bytes) -> np.ndarray:
        """Mono at ``rate``; of long audio only the part that is kept, where that is known beforehand.

        Raises:
            UnfitAudioError: If the file lacks what it promises, declares days, or holds what is not a
                number, as :func:`components.data.files.audio.inspect_audio` has it.
        """
        with audio_file(data) as sound:
            frames = max(1, round(self.seconds * sound.samplerate))  # at 1 Hz a short part is one frame
            margin = round(_MARGIN * sound.samplerate)
            if not sound.seekable() and self.keep == "start" and not self.trim_silence:
                return resample(mono(sound, frames + margin), sound.samplerate, self.rate)
            known = self.keep != "loudest" and not self.trim_silence and sound.seekable()
            if not known or sound.frames <= frames + 4 * margin:
                wave = self._whole(sound)
                if short := fewer_than_declared(data, len(wave)):
                    raise UnfitAudioError(short)
                return resample(wave, sound.samplerate, self.rate)
            rest = sound.frames - frames
            start = {"start": 0, "middle": rest // 2, "end": rest}[self.keep]
            first, last = max(0, start - margin), min(sound.frames, start + frames + margin)
            part = _between(sound, first, last)
            if part is not None:
                wave = resample(part, sound.samplerate, self.rate)
                skip = round((start - first) / sound.samplerate * self.rate)
                return wave[skip : skip + self.samples]
        with audio_file(data) as sound:  # from its start, as ingest has read it
            return resample(self._whole(sound), sound.samplerate, self.rate)

    def _whole(self, sound: sf.SoundFile) -> np.ndarray:
        """Mono of all that is left, float32 (S,).

        Raises:
            UnfitAudioError: If it would take more memory than ``MOST_WHOLE``, as it is or at ``rate``.
        """
        most = int(MOST_WHOLE * min(1.0, sound.samplerate / self.rate))  # frames
        declared = sound.frames if sound.seekable() else 0
        wave = mono(sound, most + 1) if declared <= most else np.zeros(0, np.float32)
        length = Length(max(declared, len(wave)), sound.samplerate, sound.seekable())
        if excess := length.excess(self.rate):
            raise UnfitAudioError(excess)
        return wave


def _between(sound: sf.SoundFile, first: int, last: int) -> np.ndarray | None:
    """Mono frames of a part; None where it cannot be reached: the length of an MP3 may be a guess, and a
    damaged one may have no frame to go on from."""
    try:
        sound.seek(first)
        part = mono(sound, last - first)
    except (sf.SoundFileError, ValueError):  # soundfile counts below 0 where the length was wrong
        return None
    return part if len(part) == last - first else None


def mono(sound: sf.SoundFile, frames: int | None = None) -> np.ndarray:
    """Mean of the channels of the next ``frames``, or of all that is left: float32 (S,). Read in blocks.

    Where channels cancel each other, one of them is taken: see :class:`components.data.files.audio.Mixdown`.

    Raises:
        UnfitAudioError: If a sample is not a number, or there are more of them than may be decoded.
    """
    mixdown = Mixdown(sound.channels)
    mixed: list[np.ndarray] = []
    unmixed: list[np.ndarray] = []  # of more than one channel
    for block in blocks(sound, frames):
        mixed.append(mixdown.add(block))
        if sound.channels > 1:
            unmixed.append(block)
    if not mixed:
        return np.zeros(0, np.float32)
    if (channel := mixdown.channel) is not None:
        mixed = [block[:, channel] for block in unmixed]
    return np.concatenate(mixed)


def resample(wave: np.ndarray, rate: int, to: int) -> np.ndarray:
    """At another rate (Hz), by soxr's high-quality filter; audio never vanishes altogether."""
    if rate == to or len(wave) == 0:
        return wave
    result = soxr.resample(wave, rate, to, quality="HQ")
    return result if len(result) else wave[:1]


def trim(wave: np.ndarray) -> np.ndarray:
    """Without what is 40 dB below the peak at both ends; silent audio stays as it is."""
    size = np.abs(wave)
    loud = np.flatnonzero(size > size.max() * _SILENCE)
    return wave[loud[0] : loud[-1] + 1] if len(loud) else wave


def keep_start(wave: np.ndarray, samples: int) -> np.ndarray:
    """First samples."""
    return wave[:samples]


def keep_middle(wave: np.ndarray, samples: int) -> np.ndarray:
    """Samples around the middle."""
    start = max(0, (len(wave) - samples) // 2)
    return wave[start : start + samples]


def keep_end(wave: np.ndarray, samples: int) -> np.ndarray:
    """Last samples."""
    return wave[-samples:]


def keep_loudest(wave: np.ndarray, samples: int) -> np.ndarray:
    """Samples with the most energy; the first such part where several have it."""
    if len(wave) <= samples:
        return wave
    energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    start = int(np.argmax(energy[samples:] - energy[:-samples]))
    return wave[start : start + samples]


KEEPS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "start": keep_start,
    "middle": keep_middle,
    "end": keep_end,
    "loudest": keep_loudest,
}


def level(wave: np.ndarray) -> np.ndarray:
    """At an RMS of 0.1, or as near as a peak of 1 allows; digital silence stays silent."""
    peak = float(np.abs(wave).max())
    if peak < 1e-6:
        return wave
    rms = float(np.sqrt(np.square(wave, dtype=np.float64).mean()))
    return wave * np.float32(min(LEVEL / rms, 1.0 / peak))
