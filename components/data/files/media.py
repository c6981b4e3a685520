"""Checks of media files: each is decoded once, and only its digest and its faults are recorded."""

from dataclasses import dataclass

from components.data.files.audio import inspect_audio
from components.data.files.images import inspect_image
from components.storage.digest import digest_bytes

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
    """

    digest: str | None
    reason: str | None = None
    peak: float | None = None
    contrast: float | None = None
    top: float | None = None

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
    reason, peak = inspect_audio(data)
    return MediaFacts(key, reason, peak)
