"""Is a media file usable? Judged from its bytes, which are decoded once and thrown away."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
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
    lowest, highest, frames = np.inf, -np.inf, 0
    try:
        with sound_file(data) as sound:
            if unfit := unfit_sound(sound):
                return unfit, None
            while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
                if not np.isfinite(block).all():
                    return "sound with samples that are not numbers (NaN or infinite)", None
                lowest, highest = min(lowest, block.min()), max(highest, block.max())
                frames += len(block)
            declared = declared_frames(data, sound) or frames
    except (sf.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        if frames:
            return f"damaged sound ({_short(error)} after {frames} frames)", None
        return f"not a sound that libsndfile reads ({_short(error)})", None
    if frames == 0:
        return "sound without samples (0 frames)", None
    if frames < declared:
        return f"truncated sound ({frames} of {declared} frames)", None
    return None, float(highest - lowest) / 2


@contextmanager
def sound_file(data: bytes) -> Iterator[sf.SoundFile]:
    """A sound opened from its bytes; where the system has files in memory libsndfile reads such a one.

    Given bytes, it would come back to Python for every piece, and threads would wait for each other.

    Raises:
        soundfile.SoundFileError: If libsndfile does not know it.
    """
    if not hasattr(os, "memfd_create"):
        with sf.SoundFile(io.BytesIO(data)) as sound:
            yield sound
        return
    handle = os.memfd_create("sound", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(data)
        os.lseek(handle, 0, os.SEEK_SET)
        with sf.SoundFile(handle, closefd=False) as sound:
            yield sound
    finally:
        os.close(handle)


def unfit_sound(sound: sf.SoundFile) -> str | None:
    """Why a sound that has been opened shall not be decoded, or None: a few bytes may announce days of it."""
    frames = sound.frames if sound.frames < _NO_LENGTH else 0
    if frames > MOST_FRAMES or frames > MOST_SECONDS * sound.samplerate:
        hours = frames / sound.samplerate / 3600
        return f"sound too long ({frames} frames, {hours:.1f} hours; cut it into pieces)"
    return None


def declared_frames(data: bytes, sound: sf.SoundFile) -> int | None:
    """Frames that a sound says it has; None where it does not, or may only guess."""
    guessed = _length_is_guessed(data, sound.format) or sound.frames >= _NO_LENGTH
    return None if guessed else int(sound.frames)


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


def _length_is_guessed(data: bytes, format: str) -> bool:
    """Whether an MP3 lacks the Xing frame that tells its length: libsndfile then guesses by the bit rate."""
    if format != "MP3":
        return False
    tag = 0
    if data[:3] == b"ID3" and len(data) >= 10:
        a, b, c, d = data[6:10]  # seven bits each
        tag = 10 + (a << 21 | b << 14 | c << 7 | d)
    return not any(name in data[tag : tag + 512] for name in (b"Xing", b"Info"))


def _most_pixels() -> int:
    return Image.MAX_IMAGE_PIXELS or 2**62


def _short(error: Exception) -> str:
    text = str(error).removeprefix("Error opening <_io.BytesIO object").strip() or type(error).__name__
    return text.partition(">: ")[2] or text[:120]
