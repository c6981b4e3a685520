"""Is a media file usable? Judged from its bytes, which are decoded once and thrown away."""

from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import soundfile as sf
from PIL import Image

from components.storage.digest import digest_bytes

Image.init()  # registers the decoders before several threads ask for them
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "DIB")  # JPEG opens MPO too
IMAGE_MODES = frozenset(
    {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "I", "F"}
    | {"I;16", "I;16L", "I;16B", "I;16N"}
)
MOST_FRAMES = 2**29  # of a sound: three hours at 48 kHz, 2 GiB where it has to be held whole
MOST_SECONDS = 6 * 3600.0
SILENT = 1e-4  # -80 dBFS: three steps of 16 bits
_BLOCK = 65536  # frames
_NO_LENGTH = 2**62  # frames; libsndfile says 2^63 - 1 where it cannot know
_MORE = 1.1  # tags at the end of an MP3 are a small share of it
_UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)  # of a file written to a pipe


@dataclass(frozen=True)
class MediaFacts:
    """What one look at a file found.

    Attributes:
        digest: Of its bytes; None if it could not be read.
        reason: Why it cannot be used: a short cause, details in brackets; None if it can.
        peak: Sound only: half the distance between the lowest and the highest sample (full scale is 1),
            so that a constant offset counts as silence.
    """

    digest: str | None
    reason: str | None = None
    peak: float | None = None

    @property
    def silent(self) -> bool:
        """Whether a sound is silent throughout."""
        return self.peak is not None and self.peak < SILENT


def inspect(data: bytes, modality: str) -> MediaFacts:
    """Decode a whole file and say what is wrong with it, if anything.

    Args:
        data: The file.
        modality: ``image`` or ``audio``.
    """
    key = digest_bytes(data)
    if not data:
        return MediaFacts(key, "empty file")
    if modality == "image":
        return MediaFacts(key, inspect_image(data))
    reason, peak = inspect_audio(data)
    return MediaFacts(key, reason, peak)


def inspect_image(data: bytes) -> str | None:
    """Why a picture cannot be used, or None. A JPEG is decoded at an eighth of its size, others whole."""
    try:
        image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    except Image.UnidentifiedImageError:
        return "not a picture (expected JPEG, PNG, WebP, GIF, TIFF or BMP)"
    except Image.DecompressionBombError:
        return f"decompression bomb (more than {_most_pixels() / 1e6:.0f} megapixels)"
    except Exception as error:
        return f"damaged picture ({_short(error)})"
    with image:
        if unfit := unfit_image(image):
            return unfit
        width, height = image.size
        try:
            image.draft(None, (max(1, width // 8), max(1, height // 8)))
            image.load()
        except (
            Exception
        ) as error:  # decoders raise all kinds on damaged data; one bad file must not stop a run
            truncated = isinstance(error, EOFError) or "truncated" in str(error)
            return f"{'truncated' if truncated else 'damaged'} picture ({_short(error)})"
    return None


def unfit_image(image: Image.Image) -> str | None:
    """Why a picture that has been opened shall not be decoded, or None."""
    width, height = image.size
    if width * height == 0:
        return f"picture without pixels ({width} × {height})"
    if width * height > _most_pixels():
        return f"decompression bomb ({width} × {height} is more than {_most_pixels() / 1e6:.0f} megapixels)"
    if image.mode not in IMAGE_MODES:
        return f"unknown colour mode ({image.mode})"
    return None


def inspect_audio(data: bytes) -> tuple[str | None, float | None]:
    """Why a sound cannot be used, or None; and its peak (see :class:`MediaFacts`). Read in blocks."""
    if short := missing_at_the_end(data):
        return f"truncated sound ({short} bytes are missing at the end)", None
    lowest, highest, frames, damage = np.inf, -np.inf, 0, None
    try:
        with sound_file(data) as sound:
            if unfit := unfit_sound(sound):
                return unfit, None
            while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
                if not np.isfinite(block).all():
                    return "sound with samples that are not numbers (NaN or infinite)", None
                lowest, highest = min(lowest, block.min()), max(highest, block.max())
                frames += len(block)
                if excess := too_long(frames, sound.samplerate):
                    return excess, None
    except (sf.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        if not frames:
            return f"not a sound that libsndfile reads ({_short(error)})", None
        damage = f"damaged sound ({_short(error)} after {frames} frames)"
    declared = declared_frames(data) or frames
    if frames < declared:
        return f"truncated sound ({frames} of {declared} frames)", None
    if damage:
        return damage, None
    if frames == 0:
        return "sound without samples (0 frames)", None
    return None, float(highest - lowest) / 2


class _ForwardSound(sf.SoundFile):
    """A sound that is read from its start to its end.

    soundfile seeks after each read, which libsndfile cannot do where a FLAC does not know its length.
    """

    def seekable(self) -> bool:
        """False: whoever reads must not jump."""
        return False


@contextmanager
def sound_file(data: bytes) -> Iterator[sf.SoundFile]:
    """Open a sound from its bytes; where the system has files in memory libsndfile reads such a one.

    Given bytes, it would come back to Python for every block, and threads would wait for each other.

    An MP3 comes through a pipe. In a file, libsndfile ends where the first frame says, or where the bit rate
    of that frame would end: too early in a variable rate without a Xing frame, and in joined files.

    Yields:
        The sound; not seekable where its length is only known once it has been read.

    Raises:
        soundfile.SoundFileError: If libsndfile does not know it.
    """
    if _is_mp3(data):
        with _piped(_without_short_length(data)) as handle, _ForwardSound(handle, closefd=False) as sound:
            yield sound
        return
    with _held(data) as file, sf.SoundFile(file, closefd=False) as sound:
        if sound.frames < _NO_LENGTH:
            yield sound
            return
    with _held(data) as file, _ForwardSound(file, closefd=False) as sound:
        yield sound


@contextmanager
def _held(data: bytes) -> Iterator[int | io.BytesIO]:
    """Descriptor of a file in memory, or the bytes where the system has none."""
    if not hasattr(os, "memfd_create"):
        yield io.BytesIO(data)
        return
    handle = os.memfd_create("sound", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(data)
        os.lseek(handle, 0, os.SEEK_SET)
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _piped(data: bytes) -> Iterator[int]:
    """Descriptor of a pipe that gives the bytes; they are written by a thread of its own."""
    reader, writer = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writer, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield reader
    finally:
        os.close(reader)  # ends the thread, which may have more to write
        thread.join()


def unfit_sound(sound: sf.SoundFile) -> str | None:
    """Reason for which a sound that has been opened shall not be decoded; None if there is none.

    A few bytes may announce days of sound.
    """
    return None if sound.frames >= _NO_LENGTH else too_long(sound.frames, sound.samplerate)


def too_long(frames: int, rate: int) -> str | None:
    """Reason for which so many frames at a rate (Hz) shall not be decoded; None if there is none."""
    if frames > MOST_FRAMES or frames > MOST_SECONDS * rate:
        return f"sound too long ({frames} frames, {frames / rate / 3600:.1f} hours; cut it into pieces)"
    return None


def declared_frames(data: bytes) -> int | None:
    """Frames that a sound says it has; None where it does not, or may only guess.

    Raises:
        soundfile.SoundFileError: If libsndfile does not know it.
    """
    if _is_mp3(data) and (_length_frame(data) is None or _without_short_length(data) is not data):
        return None
    with _held(data) as file, sf.SoundFile(file, closefd=False) as sound:
        return int(sound.frames) if sound.frames < _NO_LENGTH else None


def missing_at_the_end(data: bytes) -> int:
    """Bytes of sound that the header of a WAV or AIFF file announces but the file lacks.

    libsndfile reads what is there of such a file and does not say that more was announced.
    """
    kinds = {(b"RIFF", b"WAVE"): ("<4sI", b"data"), (b"FORM", b"AIFF"): (">4sI", b"SSND")}
    layout, wanted = kinds.get((data[:4], data[8:12]), ("", b""))
    place = 12
    while layout and place + 8 <= len(data):
        name, length = struct.unpack_from(layout, data, place)
        if name == wanted:
            return 0 if length in _UNKNOWN_LENGTHS else max(0, place + 8 + length - len(data))
        place += 8 + length + length % 2
    return 0


def _is_mp3(data: bytes) -> bool:
    """Whether the bytes begin like an MP3: a tag, or the header of a frame of layer 3."""
    start = _after_tag(data)
    return len(data) > start + 1 and data[start] == 0xFF and data[start + 1] & 0xE6 == 0xE2


def _length_frame(mp3: bytes) -> int | None:
    """Position of the Xing header, in which an MP3 says how long it is; None if it has none."""
    start = _after_tag(mp3)
    found = (mp3.find(name, start, start + 512) for name in (b"Xing", b"Info"))
    return next((position for position in found if position >= 0), None)


def _without_short_length(mp3: bytes) -> bytes:
    """The same MP3; where more bytes follow than its Xing header counts, as in joined files, without that.

    A decoder would end where the header says.
    """
    position = _length_frame(mp3)
    if position is None:
        return mp3
    (flags,) = struct.unpack_from(">I", mp3.ljust(position + 16, b"\0"), position + 4)
    place = position + 8 + 4 * (flags & 1)  # the number of frames comes first, where there is one
    if not flags & 2 or place + 4 > len(mp3):
        return mp3
    (counted,) = struct.unpack_from(">I", mp3, place)
    if len(mp3) - _after_tag(mp3) <= _MORE * counted:
        return mp3
    return mp3[:position] + bytes(4) + mp3[position + 4 :]


def _after_tag(data: bytes) -> int:
    """Position after an ID3 tag, and after the zeros that some writers put behind it."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    a, b, c, d = data[6:10]  # seven bits each
    start = 10 + (a << 21 | b << 14 | c << 7 | d)
    while start < len(data) and data[start] == 0:
        start += 1
    return start


def _most_pixels() -> int:
    return Image.MAX_IMAGE_PIXELS or 2**62


def _short(error: Exception) -> str:
    text = str(error).removeprefix("Error opening <_io.BytesIO object").strip() or type(error).__name__
    return text.partition(">: ")[2] or text[:120]
