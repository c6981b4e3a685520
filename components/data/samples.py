"""Reads what a step needs of the samples table, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.config.inputs import InputConfig
from components.data.ingest import AUDIT_GROUP, TIME
from components.data.splits import UNLABELLED
from components.errors import DataError
from components.references import Dataset, Features
from components.storage.column import Column
from components.storage.digest import digest
from components.storage.index import Digests, packed
from components.storage.shards import ShardStore
from components.targets.collection import PREFIX


class SamplesTable:
    """The samples table, opened: each method reads the columns that it needs, and the table holds none.

    Steps that run at the same time may share it.

    Args:
        path: The Parquet file that ingest wrote.

    Attributes:
        columns: Names of the columns.
        ends: (G,) int64, for each row group the number of rows up to its end.
    """

    def __init__(self, path: Path) -> None:
        self._file, self._lock = pq.ParquetFile(path), Lock()
        self.columns: list[str] = self._file.schema_arrow.names
        groups = range(self._file.num_row_groups)
        self.ends = np.cumsum([self._file.metadata.row_group(group).num_rows for group in groups])

    def rows(self, inputs: Sequence[str] = (), *, values: bool = False) -> pd.DataFrame:
        """Read id, split and targets of all samples, and of some inputs the digest or all columns.

        Args:
            inputs: Names of inputs whose columns are wanted.
            values: Read paths, text and cells too, not only digests.
        """
        return self._read(self.names(inputs, values)).to_pandas()

    def split(self, split: str, inputs: Sequence[str] = (), *, values: bool = False) -> pd.DataFrame:
        """Read the same of one split alone, numbered from 0."""
        rows = np.flatnonzero(self.column("split").equals(split))
        return SampleRows(self, inputs, rows, values=values)[:]

    def column(self, name: str) -> Column:
        """Read one column."""
        return Column(self._read([name]).column(name))

    def times(self) -> NDArray[np.datetime64] | None:
        """Read the times of all rows, in UTC; None where they have none."""
        return np.array(list(self.column(TIME)), "datetime64[us]") if TIME in self.columns else None

    def digests(self, name: str) -> tuple[np.ndarray, Digests]:
        """Read in which rows an input is present, (n,) int64, and the digests of its content there."""
        rows, parts, start = [np.empty(0, np.int64)], [], 0
        for group in range(len(self.ends)):
            cells = self.group(group, [f"{name}.digest"]).column(0)
            rows.append(start + np.flatnonzero(cells.is_valid().to_numpy()))
            parts.append(packed(cells.drop_null().to_pylist()))
            start += len(cells)
        return np.concatenate(rows), Digests.of(map(Digests, parts))

    def groups(self) -> pd.DataFrame:
        """Read ``group``, by which rows were divided, and by name the groups that the audit looks at."""
        watched = [name for name in self.columns if name.startswith(AUDIT_GROUP)]
        table = self._read(["group", *watched]).to_pandas()
        return table.rename(columns=lambda name: str(name).removeprefix(AUDIT_GROUP))

    def names(self, inputs: Sequence[str], values: bool) -> list[str]:
        """Names of the columns that :meth:`rows` reads."""
        columns = ["id", "split"]
        for column in self.columns:
            name, _, part = column.partition(".")
            wanted = column.startswith(PREFIX) or (name in inputs and part and (values or part == "digest"))
            if wanted:
                columns.append(column)
        return columns

    def group(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Read some columns of one row group."""
        with self._lock:
            return self._file.read_row_group(group, list(columns))

    def _read(self, columns: Sequence[str]) -> pa.Table:
        with self._lock:
            return self._file.read(list(columns))


def open_samples_table(dataset: Dataset) -> SamplesTable:
    """Open the samples table, or give the same one again to the next step of this process."""
    # The same path holds another file after a run whose data have moved, though the digest is the same.
    facts = Path(dataset.samples).stat()
    return _open(dataset.samples, facts.st_ino, facts.st_mtime_ns)


@lru_cache(maxsize=2)  # a run has one table; comparing two runs takes two
def _open(path: str, inode: int, modified: int) -> SamplesTable:
    return SamplesTable(Path(path))


class SampleRows:
    """Some rows of the samples table in its order, read where they are asked for: a row group is held.

    Args:
        table: The table.
        inputs: Names of inputs whose columns are wanted; id, split and targets are read too.
        rows: (N,) int64, ascending: positions in the table.
        values: Read paths, text and cells too, not only digests.
    """

    def __init__(
        self, table: SamplesTable, inputs: Sequence[str], rows: np.ndarray, *, values: bool = True
    ) -> None:
        self._table, self._rows = table, rows
        self._columns = table.names(inputs, values)
        self._held: tuple[int, pa.Table] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, part: slice) -> pd.DataFrame:
        """Consecutive rows, numbered from 0."""
        rows = self._rows[part]
        groups = np.searchsorted(self._table.ends, rows, side="right")
        tables = [
            self._group(group).take(rows[groups == group] - (self._table.ends[group - 1] if group else 0))
            for group in np.unique(groups).tolist()
        ]
        return pa.concat_tables(tables).to_pandas() if tables else pd.DataFrame(columns=self._columns)

    def cells(self, column: str) -> Iterator[str | None]:
        """Cells of one column for all rows; nothing else is read."""
        start = 0
        for group, stop in enumerate(np.searchsorted(self._rows, self._table.ends).tolist()):
            if start < stop:
                rows = self._rows[start:stop] - (self._table.ends[group - 1] if group else 0)
                cells = self._table.group(group, [column]).column(column)
                yield from Column(cells.take(pa.array(rows)))
            start = stop

    def _group(self, group: int) -> pa.Table:
        if self._held is None or self._held[0] != group:
            self._held = None
            self._held = group, self._table.group(group, self._columns)
        return self._held[1]


class TrainingColumns:
    """Columns of training rows that preprocessors learn from; each is read anew whenever it is gone through.

    Args:
        rows: The training rows.
        names: Names of their columns.
    """

    def __init__(self, rows: SampleRows, names: Sequence[str]) -> None:
        self._rows, self._names = rows, names

    def keys(self) -> Sequence[str]:
        """Names of the columns."""
        return self._names

    def __getitem__(self, name: str) -> Cells:
        return Cells(self._rows, name)


@dataclass(frozen=True)
class Cells:
    """Cells of one column, which can be gone through again and again."""

    rows: SampleRows
    column: str

    def __iter__(self) -> Iterator[str | None]:
        return self.rows.cells(self.column)


def learning_rows(dataset: Dataset, inputs: Sequence[str]) -> pd.DataFrame:
    """Select training and validation rows that have any of the inputs.

    Raises:
        DataError: If one of the two splits has none.
    """
    samples = open_samples_table(dataset).rows(inputs)
    samples = samples[samples[[f"{name}.digest" for name in inputs]].notna().any(axis=1)]
    for split in ("train", "val"):
        if not (samples["split"] == split).any():
            raise DataError(
                f"inputs.{', '.join(inputs)}: missing in every {split} row of {dataset.source}, so "
                "there is nothing to learn from or to stop by. Leave it out, or divide the rows otherwise "
                "(data.split)."
            )
    return samples[samples["split"].isin(["train", "val"])]


def transfer_rows(dataset: Dataset, inputs: Sequence[str]) -> pd.DataFrame:
    """Select rows without a target that have any of the inputs, as training rows."""
    samples = open_samples_table(dataset).rows(inputs)
    has_input = samples[[f"{name}.digest" for name in inputs]].notna().any(axis=1)
    return samples[samples["split"].eq(UNLABELLED) & has_input].assign(split="train")


def rows_digest(samples: pd.DataFrame, inputs: Sequence[str]) -> str:
    """Digest the rows in their order: split, targets and content, but not ids."""
    targets = [column for column in samples if str(column).startswith(PREFIX)]
    columns = ["split", *targets, *(f"{name}.digest" for name in sorted(inputs))]
    return digest(samples[columns].to_csv(index=False))


def presence(samples: pd.DataFrame, inputs: Sequence[str]) -> np.ndarray:
    """Mark the inputs that each row has; columns in sorted order of the names. (N, M) bool."""
    return np.stack([samples[f"{name}.digest"].notna().to_numpy() for name in sorted(inputs)], axis=1)


def input_value(row: Mapping[str, Any], name: str, config: InputConfig) -> Any:
    """Take the value for a preprocessor from one row of the samples table."""
    match config.modality:
        case "image" | "audio":
            paths = media_paths(row[f"{name}.path"], config)
            return paths[0] if len(paths) == 1 == len(config.columns) else [path for path in paths if path]
        case "text":
            return row[f"{name}.text"]
        case _:
            prefix = f"{name}."
            return {
                column.removeprefix(prefix): value
                for column, value in row.items()
                if column.startswith(prefix) and column != f"{name}.digest"
            }


def media_paths(cell: Any, config: InputConfig) -> list[str | None]:
    """Read the paths of a row's files, one per column, from the samples table; None without a file."""
    if pd.isna(cell):
        return [None] * len(config.columns)
    return json.loads(cell) if len(config.columns) > 1 else [cell]


def load_embeddings(samples: pd.DataFrame, name: str, features: Features) -> Tensor:
    """Load embeddings of one input for all rows, zeros where it is absent. (N, D) or (N, T, D) float32."""
    digests = samples[f"{name}.digest"]
    present = digests.notna().to_numpy()  # (N,)
    if not present.any():
        return torch.zeros(len(samples), features.encoder.width)
    stored = ShardStore(Path(features.store), "parquet").stack(digests[present].tolist())
    embeddings = np.zeros((len(samples), *stored.shape[1:]), np.float32)
    embeddings[present] = stored
    return torch.from_numpy(embeddings)
