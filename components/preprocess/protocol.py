"""What every preprocessor offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
import torch


class Preprocessor(Protocol):
    """Turns a cell into a canonical array, and arrays into a batch.

    A canonical array depends on the cell and on :meth:`state` alone, so it can be cached under the
    digest of the cell and :meth:`fingerprint`.
    """

    modality: str

    def fit(self, samples: pd.DataFrame) -> None:
        """Learn vocabulary or statistics from training rows.

        Args:
            samples: Columns ``NAME.*`` of this input in the samples table, training rows only.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Settings and what was learned, JSON-serialisable; everything needed to rebuild."""
        ...

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Rebuild from :meth:`state`."""
        ...

    def fingerprint(self) -> str:
        """Digest of state and code."""
        ...

    def canonical(self, value: Any) -> np.ndarray:
        """Canonical array of one cell.

        Args:
            value: Picture and sound: path, URL or bytes of a file. Text: str. Table: a mapping from
                column to str, number, truth or None.

        Raises:
            DataError: If a file cannot be read or decoded.
        """
        ...

    def collate(self, rows: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Canonical arrays as the batch that ``Encoder.forward`` takes."""
        ...


def cells(samples: pd.DataFrame) -> pd.DataFrame:
    """The columns of an input without the input's name: ``voice.path`` becomes ``path``."""
    return samples.rename(columns=lambda name: str(name).partition(".")[2] or str(name))
