"""A few numbers that say what a picture, a sound or a text is like, in words that a person knows."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.preprocess import Preprocessor
from components.preprocess.pcm import each_packed, unpack

SUMMARIES: dict[str, tuple[str, ...]] = {
    "image": ("brightness", "contrast"),
    "audio": ("seconds", "crest", "crossings"),
    "text": ("characters", "words"),
    "tabular": (),
}
"""Names by modality."""


def summarise(preprocessor: Preprocessor, value: Any) -> tuple[float, ...]:
    """The numbers of one row, in the order of SUMMARIES.

    Args:
        preprocessor: Of the input.
        value: Picture, sound: canonical array, see :mod:`components.preprocess`; text: str.

    Returns:
        - Pictures: mean and standard deviation of the levels, 0 to 255.
        - Sounds: length in seconds; peak over RMS in dB (loudness itself is evened out before); how often
          the wave crosses zero, per second.
        - Texts: characters and words.
    """
    if preprocessor.modality == "image":
        return float(value.mean()), float(value.std())
    if preprocessor.modality == "text":
        return float(len(value)), float(len(value.split()))
    wave = np.concatenate([unpack(each) for each in each_packed(value)])
    seconds = len(wave) / preprocessor.state()["rate"]
    level = float(np.sqrt((wave.astype(np.float64) ** 2).mean()))
    crest = 20 * np.log10(float(np.abs(wave).max()) / level) if level else 0.0
    return seconds, float(crest), float((wave[1:] * wave[:-1] < 0).sum() / seconds)
