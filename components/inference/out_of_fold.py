"""Predictions of a delivered model for its training rows, each by parts that have not learned from the row.

A model that teaches others would be too sure of rows that it has memorised. So its bundle has, where it was
cross-fitted, ``out-of-fold.parquet``: a line per training row with a digest of its content, and a list per
target and subset of the inputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.data.contents import content_keys
from components.inference.ensemble import CandidateEnsemble, Predicted

OUT_OF_FOLD = "out-of-fold.parquet"
_MOST = 20_000_000  # numbers in the file, 80 MB


def out_of_fold_table(
    model: CandidateEnsemble, samples: pd.DataFrame, predicted: Predicted
) -> pa.Table | None:
    """Collect the predictions of a model, from all inputs and from each subset.

    Args:
        model: The model, with its choice.
        samples: N training rows of the samples table.
        predicted: Natural parameters of every candidate, out of fold.

    Returns:
        N lines; None where they would be too many numbers for a bundle.
    """
    subsets, width = model.subsets(), sum(len(target.columns) for target in model.targets)
    if len(samples) * len(subsets) * width > _MOST:
        return None
    columns: dict[str, pa.Array] = {"key": pa.array(row_contents(samples, model.inputs), pa.uint64())}
    for target in model.targets:
        for subset in subsets:
            predictions = model.predict(target, predicted, subset).numpy().astype(np.float32)
            columns[json.dumps([target.name, *subset])] = pa.array(list(predictions), pa.list_(pa.float32()))
    return pa.table(columns)


def row_contents(samples: pd.DataFrame, inputs: Iterable[str]) -> NDArray[np.uint64]:
    """Digest the contents of rows of a samples table in some inputs, whatever these are called. (N,)."""
    cells = samples[[f"{name}.digest" for name in inputs]].itertuples(index=False, name=None)
    return np.fromiter(content_keys(cells), np.uint64, len(samples))


@dataclass(frozen=True)
class OutOfFoldPredictions:
    """Predictions that a bundle carries for the training rows of its model.

    Attributes:
        table: Lines with a key and a list per target and subset.
    """

    table: pa.Table

    @property
    def inputs(self) -> tuple[str, ...]:
        """All inputs of the model, sorted."""
        subsets: list[list[str]] = [json.loads(name)[1:] for name in self.table.column_names if name != "key"]
        return max(map(tuple, subsets), key=len)

    def find(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Find contents among the training rows: positions (n,) in ``keys``, and their lines (n,)."""
        known, lines = np.unique(self.table.column("key").to_numpy(), return_index=True)
        near = np.searchsorted(known, keys).clip(max=max(len(known) - 1, 0))
        rows = np.flatnonzero(known[near] == keys) if len(known) else np.empty(0, np.intp)
        return rows, lines[near[rows]]

    def predictions(
        self, target: str, subset: Sequence[str], lines: NDArray[np.intp]
    ) -> NDArray[np.float64] | None:
        """Read predictions (n, P) of one target from a subset of the inputs, where there are any."""
        name = json.dumps([target, *sorted(subset)])
        if name not in self.table.column_names:
            return None
        column = self.table.column(name).combine_chunks()
        return column.flatten().to_numpy().reshape(len(column), -1)[lines].astype(np.float64)


def read_out_of_fold(bundle: Path) -> OutOfFoldPredictions | None:
    """Read the predictions that a bundle carries; None where it has none."""
    path = bundle / OUT_OF_FOLD
    return OutOfFoldPredictions(pq.read_table(path)) if path.exists() else None
