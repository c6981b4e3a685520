"""Cells of a column, kept outside of Python's objects: a tenth of the memory of a list of strings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_PART = 4096  # cells
_SHARED = 4096  # different words that are kept as one object each


class Column(Sequence[Any]):
    """Texts in the order of the rows; None for an empty cell.

    Args:
        values: Arrow strings.
    """

    def __init__(self, values: pa.ChunkedArray) -> None:
        self.values = values

    @classmethod
    def of(cls, cells: Iterable[str | None]) -> Column:
        """A column of these cells, taken up some thousand at a time."""
        rest, parts = iter(cells), []
        while part := list(islice(rest, _PART)):
            parts.append(pa.array(part, pa.string()))
        return cls(pa.chunked_array(parts, pa.string()))

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Any]:
        """Cells; of a column with few different words, equal ones are one object."""
        shared: dict[str | None, str | None] = {}
        for chunk in self.values.chunks:
            for start in range(0, len(chunk), _PART):
                for cell in chunk.slice(start, _PART).to_pylist():
                    if len(shared) < _SHARED:
                        yield shared.setdefault(cell, cell)
                    else:
                        yield shared.get(cell, cell)

    @overload
    def __getitem__(self, position: int) -> Any: ...
    @overload
    def __getitem__(self, position: slice) -> Column: ...
    def __getitem__(self, position: int | slice) -> str | Column | None:
        if isinstance(position, slice):
            start, stop, step = position.indices(len(self))
            if step != 1:
                raise ValueError("a column is cut in one piece; slices have no step")
            return Column(self.values.slice(start, max(0, stop - start)))
        return self.values[position].as_py()

    def keep(self, rows: np.ndarray) -> Column:
        """Those of the rows (N,) that are true."""
        return self if rows.all() else Column(self.values.filter(pa.array(rows)))

    def equals(self, text: str) -> np.ndarray:
        """Mark the cells that hold this text: (N,) bool."""
        return pc.equal(self.values, text).fill_null(False).to_numpy()


def vector_column(vectors: np.ndarray, known: np.ndarray) -> pa.Array:
    """A column of lists.

    Not lists of a fixed size: Parquet files of these cannot be read back where one is null.

    Args:
        vectors: (n, W), of the rows that have one.
        known: (N,) bool, n of them true; the others are null.
    """
    ends = np.concatenate([[0], known.cumsum() * vectors.shape[1]]).astype(np.int32)
    values = pa.array(vectors.astype(np.float32).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(ends), values, mask=pa.array(~known))


def read_vectors(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, W) float32 of the rows that have one, and which rows these are: (n,)."""
    whole = column.combine_chunks()
    rows = np.flatnonzero(whole.is_valid().to_numpy(zero_copy_only=False))
    flat = whole.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(rows), -1 if len(rows) else 0), rows
