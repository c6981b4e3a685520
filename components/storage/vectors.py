"""Vectors as a column of a Parquet file, null where there is none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def vector_column(vectors: np.ndarray, there: np.ndarray) -> pa.Array:
    """A column of lists.

    Not lists of a fixed size: Parquet files of these cannot be read back where one is null.

    Args:
        vectors: (n, W), of the rows that have one.
        there: (N,) bool, n of them true; the others are null.
    """
    ends = np.concatenate([[0], there.cumsum() * vectors.shape[1]]).astype(np.int32)
    values = pa.array(vectors.astype(np.float32).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(ends), values, mask=pa.array(~there))


def read_vectors(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, W) float32 of the rows that have one, and which rows these are: (n,)."""
    whole = column.combine_chunks()
    rows = np.flatnonzero(whole.is_valid().to_numpy(zero_copy_only=False))
    flat = whole.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(rows), -1 if len(rows) else 0), rows
