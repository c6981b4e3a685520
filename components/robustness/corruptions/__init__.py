"""Corruptions of raw values, as users' data suffer them: blur, hiss, typos, empty cells, in five severities.

Every corruption takes a raw value (the file, the text, the cells), a severity from 1 (slight) to 5 (heavy)
and a generator. It returns a raw value of the same kind for the model's own preprocessing. Severities are
nested: a part damaged at one is damaged at every higher one, from the same draws.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from components.robustness.corruptions.audio import AUDIO
from components.robustness.corruptions.image import IMAGE
from components.robustness.corruptions.tabular import TABULAR, number_noise
from components.robustness.corruptions.text import TEXT
from components.seeding import seed_of

Corruption = Callable[[Any, int, np.random.Generator], Any]

CORRUPTIONS: dict[str, Mapping[str, Corruption]] = {
    "image": IMAGE,
    "audio": AUDIO,
    "text": TEXT,
    "tabular": TABULAR,
}
SEVERITIES = (1, 2, 3, 4, 5)


def corruptions(
    modality: str, scales: Mapping[str, float] | None = None, bits: int | None = None
) -> dict[str, Corruption]:
    """List the corruptions of a modality by name.

    Args:
        modality: image, audio, text or tabular.
        scales: Standard deviation of each numeric column in training, for tabular alone.
        bits: Depth of images whose file does not tell it, for image alone.
    """
    kinds = dict(CORRUPTIONS[modality])
    if modality == "image":
        kinds = {name: partial(kind, bits=bits) for name, kind in IMAGE.items()}
    if modality == "tabular":
        kinds["number_noise"] = partial(number_noise, scales=scales or {})
    return kinds


def corrupt(
    corruption: Corruption, name: str, value: Any, severity: int, *, seed: int = 0, sample: str = ""
) -> Any:
    """Damage one value.

    The draws depend on seed, name and sample, so they are the same at every severity.

    Args:
        corruption, name: One of :func:`corruptions`.
        value: image, audio: path, URL or bytes. text: str. tabular: column → cell. None is missing.
        severity: 0 to 5; 0 gives the very same value back, and so does a missing one.
        seed, sample: Seed of the run and id of the sample, which the draws depend on.

    Returns:
        image: a PNG's bytes. audio: a WAV's bytes. text: str. tabular: column → cell.

    Raises:
        DataError: If a file cannot be read or decoded.
        ValueError: If there is no such severity.
    """
    if severity not in (0, *SEVERITIES):
        raise ValueError(f"severity {severity}: expected 0 to {SEVERITIES[-1]}")
    if severity == 0 or value is None:
        return value
    return corruption(value, severity, np.random.default_rng(seed_of(seed, "corruption", name, sample)))
