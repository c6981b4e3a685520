"""Checks of media files: each is decoded once, and only its digest and its faults are recorded."""

from dataclasses import asdict, dataclass

from components.config.inputs import AudioInput, ImageInput
from components.data.files.audio import Length, inspect_audio
from components.data.files.images import inspect_image
from components.storage.digest import digest_bytes

_RATE = 16_000  # of an input that names none
SILENT = 1e-4  # peak; -80 dBFS, three steps of 16 bits


@dataclass(frozen=True)
class MediaFacts:
    """Facts of one media file.

    Attributes:
        digest: Digest of its bytes; None if they could not be read.
        reason: Reason why it cannot be used, a short cause with details in brackets; None if it can.
        peak: Half the difference of the highest and lowest sample of an audio file after mixing to mono,
            where full scale is 1. A constant offset therefore counts as silence. None for an image.
        contrast: Largest standard deviation of an image's channel, where full scale is 1: that of the file,
            or ``top``. None for audio.
        top: Largest value of an image where nothing in the file tells how many bits it uses; else None.
        frames, rate, seekable: :class:`components.data.files.audio.Length` of an audio file.
    """

    digest: str | None
    reason: str | None = None
    peak: float | None = None
    contrast: float | None = None
    top: float | None = None
    frames: int | None = None
    rate: int | None = None
    seekable: bool | None = None

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
        reason, contrast, top = inspect_image(data)
        return MediaFacts(key, reason, contrast=contrast, top=top)
    reason, peak, length = inspect_audio(data)
    return MediaFacts(key, reason, peak, **(asdict(length) if length else {}))


def is_absent(section: ImageInput | AudioInput, facts: MediaFacts) -> bool:
    """Tell if a file counts as a missing input: a silent one, where the section says so."""
    return isinstance(section, AudioInput) and facts.silent and section.silent == "missing"


def unfit(section: ImageInput | AudioInput, facts: MediaFacts) -> str | None:
    """Tell why a file cannot be used as an input of this section; None if it can."""
    if facts.reason is not None or not isinstance(section, AudioInput):
        return facts.reason
    if facts.silent and section.silent == "quarantine":
        return f"silent throughout (peak {facts.peak:.1g})"
    if facts.frames is None or facts.rate is None:
        return None
    length = Length(facts.frames, facts.rate, bool(facts.seekable))
    has_start = length.seekable or section.keep == "start"
    if has_start and section.keep != "loudest" and not section.trim_silence:
        return None
    return length.excess(section.rate or _RATE)
