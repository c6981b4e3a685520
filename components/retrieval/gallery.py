"""Gallery for search: training rows with their vectors in the shared space.

A Parquet file with one row per sample: ``id``; ``target.<name>``; for each input ``<input>.shown`` (path,
text or cells as JSON) and ``<input>.vector`` (unit vector, null where the input is absent).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from components.config import InputConfig, PipelineConfig
from components.data.samples import SampleRows, input_value, load_embeddings, open_samples_table
from components.models.projections import Aligned
from components.references import Dataset, Features
from components.seeding import seed_of
from components.storage.column import read_vectors as vectors_of
from components.storage.column import vector_column
from components.targets import PREFIX

_BATCH = 4096


def make_gallery(
    dataset: Dataset, features: Mapping[str, Features], aligned: Aligned, config: PipelineConfig
) -> pa.Table:
    """Collect at most ``alignment.gallery`` training rows.

    Args:
        features: Embeddings by input.
        aligned: Projections of these embeddings.
    """
    assert config.alignment is not None
    table = open_samples_table(dataset)
    training = np.flatnonzero(table.column("split").equals("train"))
    drawn = np.random.default_rng(seed_of(config.seed, "gallery")).permutation(len(training))
    rows = training[np.sort(drawn[: config.alignment.gallery])]
    samples = SampleRows(table, list(config.inputs), rows)[:]
    columns: dict[str, Any] = {"id": samples["id"].astype(str).tolist()}
    for column in samples:
        if str(column).startswith(PREFIX):
            columns[str(column)] = samples[column].astype("string").tolist()
    cells = samples.to_dict("records")
    for name, options in config.inputs.items():
        present = samples[f"{name}.digest"].notna().to_numpy()  # (N,)
        columns[f"{name}.shown"] = [
            shown(input_value(row, name, options), options) if has else None  # type: ignore[arg-type]
            for row, has in zip(cells, present, strict=True)
        ]
        vectors = project(samples, name, features[name], aligned)
        columns[f"{name}.vector"] = vector_column(vectors[present], present)
    return pa.table(
        {name: value if isinstance(value, pa.Array) else _text(value) for name, value in columns.items()}
    )


@torch.inference_mode()
def project(samples: pd.DataFrame, name: str, features: Features, aligned: Aligned) -> np.ndarray:
    """Compute unit vectors (N, W) float32 of one input of a samples table; arbitrary where it is absent."""
    parts = [np.zeros((0, aligned.width), np.float32)]
    for start in range(0, len(samples), _BATCH):
        embeddings = load_embeddings(samples.iloc[start : start + _BATCH], name, features)
        parts.append(aligned.unit(name, embeddings).numpy())
    return np.concatenate(parts)


def read_vectors(gallery: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the vectors (n, W) float32 of the rows that have an input, and the numbers of these rows (n,)."""
    return vectors_of(pq.read_table(gallery, columns=[f"{name}.vector"]).column(0))


def shown(value: Any, options: InputConfig) -> str:
    """Show one input of a row to a person: path, text, or cells as JSON."""
    if options.modality == "tabular":
        cells = {key: None if pd.isna(cell) else cell for key, cell in value.items()}
        return json.dumps(cells, ensure_ascii=False, default=str)
    if isinstance(value, list):
        return ", ".join(shown(item, options) for item in value)
    return "(bytes)" if isinstance(value, bytes) else str(value)


def _text(values: list[Any]) -> pa.Array:
    return pa.array([None if value is None or pd.isna(value) else value for value in values], pa.string())
