"""Checks of media files: each is decoded once, and only its digest and its faults are recorded."""

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
MOST_FRAMES = 2**29  # three hours at 48 kHz, 2 GiB as float32 where a recording is decoded whole
MOST_SECONDS = 6 * 3600.0
SILENT = 1e-4  # peak; -80 dBFS, three steps of 16 bits
_BLOCK = 65536  # frames
_NO_LENGTH = 2**62  # frames; libsndfile reports 2^63 - 1 for an unknown length
_MORE = 1.1  # share of the declared bytes; tags at the end of an MP3 are smaller than a tenth
_UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)  # bytes; in headers of files that were written to a pipe


@dataclass(frozen=True)
class MediaFacts:
    """Facts of one media file.

    Attributes:
        digest: Digest of its bytes; None if they could not be read.
        reason: Reason why it cannot be used, a short cause with details in brackets; None if it can.
        peak: Half the difference of the highest and lowest sample of an audio file, where full scale is 1.
            A constant offset therefore counts as silence. None for an image.
    """

    digest: str | None
    reason: str | None = None
    peak: float | None = None

    @property
    def silent(self) -> bool:
        """True if an audio file is silent throughout."""
        return self.peak is not None and self.peak < SILENT


def inspect(data: bytes, modality: str) -> MediaFacts:
    """Decode a media file and return its facts.

    Args:
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
    """Return the reason why an image cannot be used, or None.

    A JPEG is decoded at an eighth of its size, which finds truncation too; other formats are decoded whole.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    except Image.UnidentifiedImageError:
        return "not an image (expected JPEG, PNG, WebP, GIF, TIFF or BMP)"
    except Image.DecompressionBombError:
        return f"decompression bomb (more than {_most_pixels() / 1e6:.0f} megapixels)"
    except Exception as error:
        return f"damaged image ({_short(error)})"
    with image:
        if unfit := unfit_image(image):
            return unfit
        width, height = image.size
        try:
            image.draft(None, (max(1, width // 8), max(1, height // 8)))
            image.load()
        except Exception as error:  # as decoders raise errors of any class on damaged data
            truncated = isinstance(error, EOFError) or "truncated" in str(error)
            return f"{'truncated' if truncated else 'damaged'} image ({_short(error)})"
    return None


def unfit_image(image: Image.Image) -> str | None:
    """Return the reason why an image may not be decoded, or None; only its header is read."""
    width, height = image.size
    if width * height == 0:
        return f"image without pixels ({width} × {height})"
    if width * height > _most_pixels():
        return f"decompression bomb ({width} × {height} is more than {_most_pixels() / 1e6:.0f} megapixels)"
    if image.mode not in IMAGE_MODES:
        return f"unknown colour mode ({image.mode})"
    return None


def inspect_audio(data: bytes) -> tuple[str | None, float | None]:
    """Decode an audio file in blocks.

    Returns:
        Reason why it cannot be used, or None; its peak (see :class:`MediaFacts`), None if it has none.
    """
    if short := missing_at_the_end(data):
        return f"truncated audio ({short} bytes are missing at the end)", None
    lowest, highest, frames, damage = np.inf, -np.inf, 0, None
    try:
        with sound_file(data) as sound:
            if unfit := unfit_sound(sound):
                return unfit, None
            while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
                if not np.isfinite(block).all():
                    return "audio with samples that are not numbers (NaN or infinite)", None
                lowest, highest = min(lowest, block.min()), max(highest, block.max())
                frames += len(block)
                if excess := too_long(frames, sound.samplerate):
                    return excess, None
    except (sf.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        if not frames:
            return f"not an audio file that libsndfile reads ({_short(error)})", None
        damage = f"damaged audio ({_short(error)} after {frames} frames)"
    declared = declared_frames(data) or frames
    if frames < declared:
        return f"truncated audio ({frames} of {declared} frames)", None
    if damage:
        return damage, None
    if frames == 0:
        return "audio without samples (0 frames)", None
    return None, float(highest - lowest) / 2


class _ForwardSound(sf.SoundFile):
    """Audio file that is read from its start to its end.

    soundfile seeks after each read, which libsndfile cannot do in a FLAC without a length.
    """

    def seekable(self) -> bool:
        """Return False, so that soundfile does not seek."""
        return False


@contextmanager
def sound_file(data: bytes) -> Iterator[sf.SoundFile]:
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
    """
    if _is_mp3(data):
        with _pipe(_without_short_length(data)) as handle, _ForwardSound(handle, closefd=False) as sound:
            yield sound
        return
    with _memory_file(data) as file, sf.SoundFile(file, closefd=False) as sound:
        if sound.frames < _NO_LENGTH:
            yield sound
            return
    with _memory_file(data) as file, _ForwardSound(file, closefd=False) as sound:
        yield sound


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


def unfit_sound(sound: sf.SoundFile) -> str | None:
    """Return the reason why an audio file may not be decoded, or None: a small file may declare days."""
    return None if sound.frames >= _NO_LENGTH else too_long(sound.frames, sound.samplerate)


def too_long(frames: int, rate: int) -> str | None:
    """Return the reason why so many frames at a rate in Hz may not be decoded, or None."""
    if frames > MOST_FRAMES or frames > MOST_SECONDS * rate:
        return f"audio too long ({frames} frames, {frames / rate / 3600:.1f} hours; cut it into pieces)"
    return None


def declared_frames(data: bytes) -> int | None:
    """Return the number of frames that an audio file declares; None where it does not, or may only guess."""
    if _is_mp3(data) and (_length_frame(data) is None or _without_short_length(data) is not data):
        return None
    try:
        with _memory_file(data) as file, sf.SoundFile(file, closefd=False) as sound:
            return int(sound.frames) if sound.frames < _NO_LENGTH else None
    except sf.SoundFileError:  # a damaged MP3 may be read through a pipe, but not as a file
        return None


def missing_at_the_end(data: bytes) -> int:
    """Return how many bytes the header of a WAV or AIFF file declares beyond the end of the file.

    libsndfile reads such a file up to its end and reports no error.
    """
    kinds = {(b"RIFF", b"WAVE"): ("<4sI", b"data"), (b"FORM", b"AIFF"): (">4sI", b"SSND")}
    layout, wanted = kinds.get((data[:4], data[8:12]), ("", b""))
    offset = 12  # bytes; the first chunk begins here
    while layout and offset + 8 <= len(data):
        name, length = struct.unpack_from(layout, data, offset)
        if name == wanted:
            return 0 if length in _UNKNOWN_LENGTHS else max(0, offset + 8 + length - len(data))
        offset += 8 + length + length % 2
    return 0


def _is_mp3(data: bytes) -> bool:
    """Return True if the bytes begin like an MP3: an ID3 tag or not, then the header of a layer 3 frame."""
    start = _after_tag(data)
    return len(data) > start + 1 and data[start] == 0xFF and data[start + 1] & 0xE6 == 0xE2


def _length_frame(mp3: bytes) -> int | None:
    """Return the offset of the Xing header, which holds an MP3's length; None if there is none."""
    start = _after_tag(mp3)
    offsets = (mp3.find(name, start, start + 512) for name in (b"Xing", b"Info"))
    return next((offset for offset in offsets if offset >= 0), None)


def _without_short_length(mp3: bytes) -> bytes:
    """Return the MP3 without its Xing header if that counts fewer bytes than follow, as in joined files.

    A decoder would stop at the length in the header.
    """
    position = _length_frame(mp3)
    if position is None:
        return mp3
    (flags,) = struct.unpack_from(">I", mp3.ljust(position + 16, b"\0"), position + 4)
    offset = position + 8 + 4 * (flags & 1)  # behind the number of frames, if the header has it
    if not flags & 2 or offset + 4 > len(mp3):
        return mp3
    (counted,) = struct.unpack_from(">I", mp3, offset)
    if len(mp3) - _after_tag(mp3) <= _MORE * counted:
        return mp3
    return mp3[:position] + bytes(4) + mp3[position + 4 :]


def _after_tag(data: bytes) -> int:
    """Return the offset behind an ID3 tag and the zeros that some writers put behind it."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    a, b, c, d = data[6:10]  # ID3 stores seven bits per byte
    start = 10 + (a << 21 | b << 14 | c << 7 | d)
    while start < len(data) and data[start] == 0:
        start += 1
    return start


def _most_pixels() -> int:
    return Image.MAX_IMAGE_PIXELS or 2**62


def _short(error: Exception) -> str:
    text = str(error).removeprefix("Error opening <_io.BytesIO object").strip() or type(error).__name__
    return text.partition(">: ")[2] or text[:120]
