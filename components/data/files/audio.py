"""Audio files: opened whatever their format, checked against the length that they promise, read in blocks."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import soundfile as sf

from components.data.files import ffmpeg
from components.data.files.audio_headers import (
    cut_short,
    is_joined,
    is_mp3,
    tells_length,
    with_length,
    without_short_length,
)

MOST_FRAMES = 2**29  # three hours at 48 kHz, 2 GiB as float32 where a recording is decoded whole
MOST_SECONDS = 6 * 3600.0
MOST_WHOLE = 2**26  # samples of a clip that is prepared whole, 256 MiB: 70 minutes at 16 kHz
_BLOCK = 65536  # frames
_CANCELLED = 1e-3  # of the energy of the louder channel: 30 dB below it
_NO_LENGTH = 2**62  # frames; libsndfile reports 2^63 - 1 for an unknown length
_UNKNOWN_FORMAT = 1  # libsndfile's error
_CONTAINERS = (b"OggS", b"RIFF", b"caff", b"FORM")  # that libsndfile knows, with codecs that it does not
_LEAST = 0.98  # share of the length that a file declares to ffmpeg; encoders pad and cut the ends
_SLACK = 0.1  # seconds


class UnfitAudioError(ValueError):
    """An audio file that may not be decoded, is not read, or lacks what it promises."""


class Mixdown:
    """Mixes blocks to mono: their channels' mean.

    Channels of opposite phase cancel in a mean. Where next to nothing is left of them, the first channel
    that holds a signal is to be taken instead.
    """

    def __init__(self, channels: int) -> None:
        self._energy, self._mixed = np.zeros(channels), 0.0

    def add(self, block: np.ndarray) -> np.ndarray:
        """Mix a block (S, channels) to mono (S,)."""
        mono: np.ndarray = block.mean(axis=1)
        if block.shape[1] > 1:
            self._energy += np.square(block, dtype=np.float64).sum(axis=0)
            self._mixed += float(np.square(mono, dtype=np.float64).sum())
        return mono

    @property
    def channel(self) -> int | None:
        """Channel to take instead of the mean of all that was added; None for the mean."""
        loudest = self._energy.max()
        if self._mixed < _CANCELLED * loudest:
            return int(np.argmax(self._energy > 0.1 * loudest))
        return None


@dataclass(frozen=True)
class Length:
    """Length of an audio file.

    Attributes:
        frames: Frames that it holds.
        rate: Frames per second.
        seekable: True if a part can be read without all that is before it.
    """

    frames: int
    rate: int
    seekable: bool

    def excess(self, rate: int) -> str | None:
        """Tell why a file cannot be decoded whole to this rate; None where it can.

        It would take more memory than ``MOST_WHOLE`` samples, as it is or at ``rate``.
        """
        if self.frames * max(1.0, rate / self.rate) <= MOST_WHOLE:
            return None
        minutes = MOST_WHOLE / max(rate, self.rate) / 60
        return (
            f"audio too long to be decoded whole (more than {minutes:.0f} minutes): cut it, or use keep: "
            "start, middle or end without trim_silence, which decode that part alone"
        )


def inspect_audio(data: bytes) -> tuple[str | None, float | None, Length | None]:
    """Decode an audio file in blocks.

    Returns:
        Reason why it cannot be used, or None; half the difference of its highest and lowest sample after
        mixing to mono, full scale 1, None if it has none; and its length, if it can be used.
    """
    frames, damage = 0, None
    rate, seekable = 1, False
    try:
        with audio_file(data) as sound:
            mixdown = Mixdown(sound.channels)
            rate, seekable = sound.samplerate, sound.seekable()
            lowest = np.full(sound.channels + 1, np.inf)  # of each channel, and of their mean
            highest = -lowest
            for block in blocks(sound):
                each = np.column_stack([block, mixdown.add(block)])  # (S, channels + 1)
                lowest, highest = np.minimum(lowest, each.min(axis=0)), np.maximum(highest, each.max(axis=0))
                frames += len(block)
    except UnfitAudioError as error:
        return str(error), None, None
    except (sf.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        if not frames:
            return f"not an audio file that libsndfile reads ({_short(error)})", None, None
        damage = f"damaged audio ({_short(error)} after {frames} frames)"
    if short := fewer_than_declared(data, frames):
        return short, None, None
    if damage:
        return damage, None, None
    if frames == 0:
        return "audio without samples (0 frames)", None, None
    taken = -1 if mixdown.channel is None else mixdown.channel
    return None, float(highest[taken] - lowest[taken]) / 2, Length(frames, rate, seekable)


@contextmanager
def audio_file(data: bytes) -> Iterator[sf.SoundFile]:
    """Open an audio file from its bytes, as a context.

    On Linux libsndfile reads them from a file in memory. From a Python object it would call back for every
    block, and threads would wait for each other.

    An MP3 is read from a pipe. From a file, libsndfile stops at the length that the first frame declares, or
    that its bit rate implies. That is too early at a variable bit rate without a Xing frame, and in joined
    files.

    Yields:
        The open file; not seekable where its length is unknown until it has been read.

    Raises:
        soundfile.SoundFileError: If libsndfile does not know the format.
        UnfitAudioError: If the file is cut short, needs ffmpeg where there is none, or declares days.
    """
    if short := cut_short(data):
        raise UnfitAudioError(f"truncated audio ({short})")
    with _reader(with_length(data)) as sound:
        if sound.frames < _NO_LENGTH and (excess := _too_long(sound.frames, sound.samplerate)):
            raise UnfitAudioError(excess)
        yield sound


def blocks(sound: sf.SoundFile, frames: int | None = None) -> Iterator[np.ndarray]:
    """Read the next ``frames``, or all that is left, in blocks of float32 (S, channels).

    Raises:
        UnfitAudioError: If a sample is not a number, or there are more of them than may be decoded.
    """
    left, count = 2**62 if frames is None else frames, 0
    while left and len(block := sound.read(min(_BLOCK, left), dtype="float32", always_2d=True)):
        if not np.isfinite(block).all():
            raise UnfitAudioError("audio with samples that are not numbers (NaN or infinite)")
        count += len(block)
        if excess := _too_long(count, sound.samplerate):
            raise UnfitAudioError(excess)
        yield block
        left -= len(block)


def fewer_than_declared(data: bytes, frames: int) -> str | None:
    """Return the reason why a file of which ``frames`` were decoded is cut short, or None."""
    declared = frames if is_mp3(data) and not tells_length(data) else _declared_frames(data)
    return f"truncated audio ({frames} of {declared} frames)" if frames < declared else None


class _ForwardFile(sf.SoundFile):
    """Audio file that is read from its start to its end.

    soundfile seeks after each read, which libsndfile cannot do in a FLAC without a length.
    """

    def seekable(self) -> bool:
        """Return False, so that soundfile does not seek."""
        return False


@contextmanager
def _reader(data: bytes) -> Iterator[sf.SoundFile]:
    """Open an audio file whose header is right; see :func:`audio_file`."""
    if is_mp3(data):
        with _pipe(without_short_length(data)) as handle, _ForwardFile(handle, closefd=False) as sound:
            yield sound
        return
    kind, reader = ffmpeg.kind_of(data), sf.SoundFile
    if is_joined(data):  # libsndfile would stop at the end of the first
        data = _by_ffmpeg(data, "ogg", "Ogg of several recordings")
    try:
        with _memory_file(data) as file, sf.SoundFile(file, closefd=False) as sound:
            reader = sf.SoundFile if sound.frames < _NO_LENGTH else _ForwardFile
    except sf.LibsndfileError as error:
        if kind is None or (error.code == _UNKNOWN_FORMAT and data.startswith(_CONTAINERS)):
            raise
        data = _by_ffmpeg(data, *kind)
    with _memory_file(data) as file, reader(file, closefd=False) as sound:
        yield sound


def _by_ffmpeg(data: bytes, demuxer: str, name: str) -> bytes:
    """Decode a file to WAV, and compare its length with the declared one."""
    try:
        wav, declared = ffmpeg.decode(data, demuxer, name)
    except ffmpeg.FfmpegError as error:
        raise UnfitAudioError(str(error)) from error
    wav = with_length(wav)
    with sf.SoundFile(io.BytesIO(wav)) as sound:
        seconds = sound.frames / sound.samplerate
    if declared is not None and seconds < _LEAST * declared - _SLACK:
        raise UnfitAudioError(f"truncated audio ({seconds:.2f} of {declared:.2f} s)")
    return wav


@contextmanager
def _memory_file(data: bytes) -> Iterator[int | io.BytesIO]:
    """Give the descriptor of a file in memory, or a Python object where the system has no such files."""
    if not hasattr(os, "memfd_create"):
        yield io.BytesIO(data)
        return
    handle = os.memfd_create("audio", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(data)
        os.lseek(handle, 0, os.SEEK_SET)
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _pipe(data: bytes) -> Iterator[int]:
    """Give the descriptor of a pipe, into which a thread writes the bytes."""
    reader, writer = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writer, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield reader
    finally:
        os.close(reader)  # before the join: it ends a thread that has more to write
        thread.join()


def _too_long(frames: int, rate: int) -> str | None:
    """Return the reason why so many frames at a rate in Hz may not be decoded, or None: a small file may
    declare days."""
    if frames > MOST_FRAMES or frames > MOST_SECONDS * rate:
        return f"audio too long ({frames} frames, {frames / rate / 3600:.1f} hours; cut it into pieces)"
    return None


def _declared_frames(data: bytes) -> int:
    """Return the number of frames that an audio file declares; 0 where it does not."""
    try:
        with _memory_file(data) as file, sf.SoundFile(file, closefd=False) as sound:
            return int(sound.frames) if sound.frames < _NO_LENGTH else 0
    except sf.SoundFileError:  # a damaged MP3 may be read through a pipe, but not as a file
        return 0


def _short(error: Exception) -> str:
    text = str(error).removeprefix("Error opening <_io.BytesIO object").strip() or type(error).__name__
    return text.partition(">: ")[2] or text[:120]
