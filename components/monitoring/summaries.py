"""Summaries of image, audio and text: a few numbers that people understand."""

from typing import Any

import numpy as np

from components.preprocess import Preprocessor
from components.preprocess.composite import first_array, first_part
from components.preprocess.pcm import each_packed, unpack

SUMMARIES: dict[str, tuple[str, ...]] = {
    "image": ("brightness", "contrast"),
    "audio": ("seconds", "crest", "crossings"),
    "text": ("characters", "words"),
    "tabular": (),
}
"""Names of the numbers, by modality."""


def summarise(preprocessor: Preprocessor, value: Any) -> tuple[float, ...]:
    """Compute the numbers of one row, in the order of SUMMARIES.

    Args:
        value: Canonical array of image or audio, see :mod:`components.preprocess`; or a text.

    Returns:
        - Image: mean and standard deviation of the levels, 0 to 255.
        - Audio: length in seconds; peak over RMS in dB, as preprocessing removes the loudness itself; zero
          crossings per second.
        - Text: number of characters and of words.
    """
    if preprocessor.modality == "text":
        return float(len(value)), float(len(value.split()))
    value = first_array(preprocessor, value)
    if preprocessor.modality == "image":
        return float(value.mean()), float(value.std())
    wave = np.concatenate([unpack(each) for each in each_packed(value)])
    seconds = len(wave) / first_part(preprocessor).state()["rate"]
    level = float(np.sqrt((wave.astype(np.float64) ** 2).mean()))
    crest = 20 * np.log10(float(np.abs(wave).max()) / level) if level else 0.0
    return seconds, float(crest), float((wave[1:] * wave[:-1] < 0).sum() / seconds)
