"""Findings about checked media that a person should read before a model learns from them."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from components.config.inputs import AudioInput, ImageInput, InputConfig
from components.data.files.images import depth_of
from components.data.files.media_columns import FACTS

NEARLY_SILENT = 1e-3  # peak; -60 dBFS
NEARLY_ONE_COLOUR = 0.01  # standard deviation as a share of the scale: 2.5 of 255 levels


class MediaFindings:
    """Collects the facts of media files while the samples table is written.

    Args:
        inputs: Options of the inputs by name.
    """

    def __init__(self, inputs: Mapping[str, InputConfig]) -> None:
        self._inputs = {
            name: each for name, each in inputs.items() if isinstance(each, ImageInput | AudioInput)
        }
        names = (f"{name}.{fact}" for name, each in self._inputs.items() for fact in FACTS[each.modality])
        self._facts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        self._training: list[np.ndarray] = []

    def add(self, rows: pa.Table) -> None:
        """Add some rows of the samples table."""
        self._training.append(rows.column("split").to_numpy() == "train")
        for name, parts in self._facts.items():
            parts.append(rows.column(name).cast(pa.float64()).to_numpy())  # NaN where a cell is empty

    def sentences(self) -> Iterator[str]:
        """Say which depth images are taken for, and how many files hold next to nothing."""
        facts = {name: np.concatenate([np.empty(0), *parts]) for name, parts in self._facts.items()}
        training = np.concatenate([np.empty(0, bool), *self._training])
        for name, section in self._inputs.items():
            if isinstance(section, AudioInput):
                peak = facts[f"{name}.peak"]
                quiet, kind = peak < NEARLY_SILENT, "clips are nearly silent (below -60 dB of full scale)"
                files = np.isfinite(peak)
            else:
                contrast, top = facts[f"{name}.contrast"], facts[f"{name}.top"]
                files, deep = np.isfinite(contrast), np.isfinite(top)
                bits = section.bits or depth_of(top[deep & training].tolist())
                if deep.any():
                    yield _depth(name, section, bits, top[deep & training])
                scale = float(2**bits - 1) if bits else np.maximum(top, 65535.0)
                quiet = contrast * np.where(deep, top / scale, 1.0) < NEARLY_ONE_COLOUR
                kind = "images are nearly one colour"
            if quiet.any():
                yield f"{name}: {quiet.sum()} of {files.sum()} {kind}."


def _depth(name: str, section: ImageInput, bits: int | None, tops: np.ndarray) -> str:
    """Say for how many bits deep images are taken, and why."""
    if section.bits is not None:
        return f"{name}: images that do not tell their depth are taken for {bits} bits (inputs.{name}.bits)."
    if bits is None:
        most = max(tops, default=0)
        return f"{name}: images of values up to {most:.0f} are scaled one by one, each from its own range."
    return (
        f"{name}: images that do not tell their depth are taken for {bits} bits, as the largest value in "
        f"training is {tops.max():.0f}; inputs.{name}.bits sets another."
    )
