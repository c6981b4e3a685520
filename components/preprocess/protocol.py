"""Interface of every preprocessor."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
import torch


class Samples(Protocol):
    """Columns by name: a DataFrame, or what reads them as they are needed."""

    def keys(self) -> Iterable[Any]: ...

    def __getitem__(self, name: Any, /) -> Iterable[Any]: ...


class Preprocessor(Protocol):
    """Turns a cell into a canonical array, and arrays into a batch.

    A canonical array depends on the cell and on :meth:`state` alone, so it can be cached under the
    digest of the cell and :func:`components.preprocess.fingerprint`.
    """

    modality: str

    def fit(self, samples: Samples) -> None:
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

    def canonical(self, value: Any) -> np.ndarray:
        """Canonical array of one cell.

        Args:
            value: Image and audio: path, URL or bytes of a file. Text: str. Table: a mapping from
                column to str, number, truth or None.

        Raises:
            DataError: If a file cannot be read or decoded.
        """
        ...

    def collate(self, rows: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Canonical arrays as the batch that ``Encoder.forward`` takes."""
        ...


@dataclass(frozen=True)
class Cells:
    """Cells of one column, which can be gone through again and again; None where one is empty."""

    column: Iterable[Any]

    def __iter__(self) -> Iterator[Any]:
        for value in self.column:
            yield None if value is None or value is pd.NA or value != value else value


def cells(samples: Samples, column: str) -> Cells:
    """Cells of a column that is named without the input's name: ``path`` of ``voice.path``."""
    names = samples.keys()
    return Cells(samples[next(name for name in names if str(name).partition(".")[2] == column)])
