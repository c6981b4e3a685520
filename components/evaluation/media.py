"""Small copies of a sample's media, for the report."""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image, ImageOps

from components.data.files.location import read_bytes
from components.evaluation.samples import Media

_SIDE = 240  # pixels, twice the 120 that the report shows, for dense screens
_AUDIO_BYTES = 1_000_000
_CHARACTERS = 600
_CELLS = 30

# First bytes of the audio formats that every browser plays.
_PLAYABLE = {
    b"RIFF": "audio/wav",
    b"fLaC": "audio/flac",
    b"OggS": "audio/ogg",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
}


def media_of(modality: str, value: Any) -> Media:
    """Make a small copy of one input of one sample.

    A sample that cannot be shown becomes a text with the reason, as a report matters more than a thumbnail.

    Args:
        modality: ``image``, ``audio``, ``text`` or ``tabular``.
        value: Path, URL or bytes of an image or audio file, or a list of these; a text; or cells by column.
    """
    try:
        if isinstance(value, list):
            first = MEDIA[modality](value[0])
            return replace(first, text=" · ".join(filter(None, [first.text, f"first of {len(value)}"])))
        return MEDIA[modality](value)
    except (OSError, ValueError, RuntimeError, SyntaxError, Image.DecompressionBombError) as error:
        return Media("text", text=f"[{modality} cannot be shown: {error}]"[:_CHARACTERS])


def image_media(value: str | Path | bytes) -> Media:
    """Make a thumbnail of at most 240 pixels per side, rotated as EXIF says; PNG if small or transparent."""
    with Image.open(io.BytesIO(_content(value))) as original:
        original.draft("RGB", (_SIDE, _SIDE))  # so that a JPEG is decoded at a small size
        image = ImageOps.exif_transpose(original)
        if image.mode in {"I", "F"} or image.mode.startswith("I;"):
            image = _to_8_bit(image)
        transparent = image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info
        image = image.convert("RGBA" if transparent else "RGB")
    image.thumbnail((_SIDE, _SIDE))
    small = max(image.size) <= 96  # as JPEG would blur an image of 28 × 28 pixels
    out = io.BytesIO()
    if transparent or small:
        image.save(out, "PNG", optimize=True)
        return Media("image", data=out.getvalue(), mime="image/png")
    image.save(out, "JPEG", quality=82)
    return Media("image", data=out.getvalue(), mime="image/jpeg")


def audio_media(value: str | Path | bytes, limit: int = _AUDIO_BYTES) -> Media:
    """Return audio unchanged if browsers play it and it has at most `limit` bytes; else as mono WAV, cut."""
    content = _content(value)
    mime = next((mime for magic, mime in _PLAYABLE.items() if content.startswith(magic)), None)
    with soundfile.SoundFile(io.BytesIO(content)) as sound:
        plain = sound.format != "WAV" or sound.subtype in {"PCM_16", "PCM_U8"}
        if mime and plain and len(content) <= limit:
            return Media("audio", data=content, mime=mime)
        rate, frames = sound.samplerate, sound.frames
        wave = sound.read(frames=(limit - 100) // 2, dtype="float32", always_2d=True).mean(axis=1)
    out = io.BytesIO()
    soundfile.write(out, wave, rate, format="WAV", subtype="PCM_16")
    cut = f"first {len(wave) / rate:.0f} s of {frames / rate:.0f} s" if len(wave) < frames else None
    return Media("audio", data=out.getvalue(), mime="audio/wav", text=cut)


def text_media(value: str) -> Media:
    """Return the first 600 characters of a text."""
    return Media("text", text=value if len(value) <= _CHARACTERS else value[:_CHARACTERS].rstrip() + " …")


def tabular_media(value: Mapping[str, Any]) -> Media:
    """Return the first 30 columns, numbers with four digits, empty cells as an en dash."""
    cells = list(value.items())
    shown = {column: cell_text(cell)[:_CHARACTERS] for column, cell in cells[:_CELLS]}
    more = f"and {len(cells) - _CELLS} more columns" if len(cells) > _CELLS else None
    return Media("tabular", values=shown, text=more)


MEDIA: dict[str, Callable[[Any], Media]] = {
    "image": image_media,
    "audio": audio_media,
    "text": text_media,
    "tabular": tabular_media,
}


def _content(value: str | Path | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    return read_bytes(str(value))


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit and float pixels to the whole range from black to white."""
    pixels = np.asarray(image, dtype=np.float64)
    low, high = pixels.min(), pixels.max()
    return Image.fromarray(((pixels - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))


def cell_text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
