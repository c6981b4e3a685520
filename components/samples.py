"""Reads what a step needs of the samples table, and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from torch import Tensor

from components.config.inputs import InputConfig
from components.data.ingest import WATCHED, Dataset
from components.errors import DataError
from components.references import Features
from components.storage.digest import digest
from components.storage.shards import ShardStore
from components.targets.collection import PREFIX


def read_samples(dataset: Dataset, inputs: Sequence[str] = (), *, values: bool = False) -> pd.DataFrame:
    """The samples with their id, split and targets, and of some inputs the digest or all columns.

    Args:
        dataset: What ingest made.
        inputs: Names of inputs whose columns are wanted.
        values: Read paths, text and cells too, not only digests.
    """
    columns = ["id", "split"]
    for column in pq.read_schema(dataset.samples).names:
        name, _, part = column.partition(".")
        wanted = column.startswith(PREFIX) or (name in inputs and part and (values or part == "digest"))
        if wanted:
            columns.append(column)
    return pd.read_parquet(dataset.samples, columns=columns)


def read_groups(dataset: Dataset) -> pd.DataFrame:
    """Columns of groups: ``group``, by which rows were divided, and by name those that the audit looks at."""
    watched = [name for name in pq.read_schema(dataset.samples).names if name.startswith(WATCHED)]
    table = pd.read_parquet(dataset.samples, columns=["group", *watched])
    return table.rename(columns=lambda name: str(name).removeprefix(WATCHED))


def learning_rows(dataset: Dataset, inputs: Sequence[str]) -> pd.DataFrame:
    """Training and validation rows in which any of the inputs is there.

    Raises:
        DataError: If there are none of one of the two.
    """
    samples = read_samples(dataset, inputs)
    samples = samples[samples[[f"{name}.digest" for name in inputs]].notna().any(axis=1)]
    for split in ("train", "val"):
        if not (samples["split"] == split).any():
            raise DataError(
                f"inputs.{', '.join(inputs)}: missing in every {split} row of {dataset.source}, so "
                "there is nothing to learn from or to stop by. Leave it out, or divide the rows otherwise "
                "(data.split)."
            )
    return samples[samples["split"].isin(["train", "val"])]


def rows_digest(samples: pd.DataFrame, inputs: Sequence[str]) -> str:
    """Digest of which rows there are: split, targets and content, in their order; not their ids."""
    targets = [column for column in samples if str(column).startswith(PREFIX)]
    columns = ["split", *targets, *(f"{name}.digest" for name in sorted(inputs))]
    return digest(samples[columns].to_csv(index=False))


def presence(samples: pd.DataFrame, inputs: Sequence[str]) -> np.ndarray:
    """Which inputs each row has; columns in sorted order of the names. (N, M) bool."""
    return np.stack([samples[f"{name}.digest"].notna().to_numpy() for name in sorted(inputs)], axis=1)


def input_value(row: Mapping[str, Any], name: str, config: InputConfig) -> Any:
    """What a preprocessor takes, from one row of the samples table."""
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
    """Paths of a row's files, one for each column, from the samples table; None where there is none."""
    if pd.isna(cell):
        return [None] * len(config.columns)
    return json.loads(cell) if len(config.columns) > 1 else [cell]


def load_embeddings(samples: pd.DataFrame, name: str, features: Features) -> Tensor:
    """Embeddings of one input for all rows, zeros where it is absent. (N, D) or (N, T, D) float32."""
    digests = samples[f"{name}.digest"]
    there = digests.notna().to_numpy()
    if not there.any():
        return torch.zeros(len(samples), features.encoder.width)
    found = ShardStore(Path(features.store), "parquet").stack(digests[there].tolist())
    result = np.zeros((len(samples), *found.shape[1:]), np.float32)
    result[there] = found
    return torch.from_numpy(result)
