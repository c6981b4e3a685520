"""Several images or audio clips of one row, of which any may be missing."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import torch

from components.data.files.content import MediaValue
from components.preprocess.audio import AudioPreprocessor
from components.preprocess.image import ImagePreprocessor
from components.preprocess.pcm import each_packed, pack_several
from components.preprocess.protocol import Samples

Pooling = Literal["mean", "attention"]
MediaPreprocessor = ImagePreprocessor | AudioPreprocessor
_MEDIA: dict[str, type[MediaPreprocessor]] = {"image": ImagePreprocessor, "audio": AudioPreprocessor}


class SeveralPreprocessor:
    """Prepares each item of a row alike; a batch holds the items of all rows one after the other.

    Args:
        each: Prepares one item.
        pooling: What the encoder does with the items' embeddings.
    """

    def __init__(self, each: MediaPreprocessor, pooling: Pooling) -> None:
        self.each, self.pooling = each, pooling
        self.modality = each.modality

    def fit(self, samples: Samples) -> None:
        """Learn what each item's preprocessor learns."""
        self.each.fit(samples)

    def state(self) -> dict[str, Any]:
        return {**self.each.state(), "several": self.pooling}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        own = {name: value for name, value in state.items() if name != "several"}
        return cls(_MEDIA[state["modality"]].from_state(own), state["several"])

    def canonical(self, value: Sequence[MediaValue]) -> np.ndarray:
        """All items of a row: images (n, size, size, 3), or packed audio clips (n, 3 + S).

        Raises:
            DataError: If a file cannot be read or decoded.
        """
        return self.together([self.each.canonical(item) for item in value])

    def together(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """Put canonical arrays of one item each together, as :meth:`canonical` gives them."""
        return np.stack(items) if self.modality == "image" else pack_several(items)

    def collate(self, rows: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Collate the items as their own preprocessor does; ``items`` int64 (B,) counts those of each row."""
        if self.modality == "image":
            flat = [item for row in rows for item in row]
        else:
            flat = [item for row in rows for item in each_packed(row)]
        return {**self.each.collate(flat), "items": torch.tensor([len(row) for row in rows])}
