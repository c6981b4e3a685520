"""Rows of a data set by braid's own split, written as a peer's user would have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.config.inputs import InputConfig
from components.config.pipeline import PipelineConfig
from components.data.ingest import ingest
from components.data.parts import Parts, independent_parts
from components.data.samples import media_paths, open_samples_table
from components.references import Dataset
from components.robustness.missing import draws
from components.seeding import seed_of
from components.targets import AnyTarget, cells_of, known_rows

HIDDEN = 0.5
"""Probability of hiding an input of a test row, to see what a peer makes of it."""


@dataclass(frozen=True)
class Rows:
    """Rows of all splits, and the truth of the test rows.

    Attributes:
        target: The deciding target.
        tables: Table of each split with ``id``, the target and the columns of all inputs; and ``hidden``.
        values: (N, ...) encoded values of the test rows.
        parts: (N,) number of the independent part of each test row.
    """

    target: AnyTarget
    tables: Mapping[str, pd.DataFrame]
    values: np.ndarray
    parts: Parts


def columns_of(section: InputConfig) -> list[str]:
    """Name an input's columns in the tables; text of several columns is joined in the first."""
    return section.columns[:1] if section.modality == "text" else list(section.columns)


def divide(config: PipelineConfig, base: Path, folder: Path) -> Rows:
    """Check and divide the rows of a pipeline, and hide inputs of the test rows in a second table.

    Args:
        config: The pipeline.
        base: Folder of the pipeline file.
        folder: Work folder.
    """
    dataset = ingest(config, folder, base)
    target = dataset.targets.primary
    table = open_samples_table(dataset)
    tables = {}
    for split in ("train", "val", "test"):
        samples = table.split(split, list(config.inputs), values=True)
        known = known_rows(dataset.targets.encode(samples)[target.name]).numpy()
        tables[split] = _as_written(samples[known].reset_index(drop=True), config, target.name)
    test = table.split("test", list(config.inputs))
    values = dataset.targets.encode(test)[target.name]
    known = known_rows(values).numpy()
    parts = independent_parts(table, test, list(config.inputs))
    tables["hidden"] = hide(tables["test"], config.inputs, HIDDEN, 0)
    return Rows(target, tables, values.numpy()[known], parts[known])


def hide(table: pd.DataFrame, inputs: Mapping[str, InputConfig], rate: float, seed: int) -> pd.DataFrame:
    """Empty the cells of inputs at random; each row keeps one of those that it has.

    Args:
        table: Rows with ``id``.
        inputs: Sections of the pipeline by name.
        rate: Probability of hiding an input.
        seed: Seed of the draw.
    """
    names = list(inputs)
    drawn = draws(table["id"].astype(str).tolist(), names, seed_of(seed, "peers"))  # (N, M)
    has = np.stack([table[columns_of(inputs[name])].notna().any(axis=1) for name in names], axis=1)
    last = np.where(has, drawn, -1).argmax(
        axis=1
    )  # of the inputs that a row has, the one that is hidden last
    hidden = drawn < rate
    hidden[np.arange(len(table)), last] = False
    result = table.copy()
    for column, name in enumerate(names):
        result.loc[hidden[:, column], columns_of(inputs[name])] = np.nan
    return result


def with_gaps(
    config: PipelineConfig, values: dict[str, Any], base: Path, folder: Path, rate: float
) -> dict[str, Any]:
    """Write a manifest in which inputs of all splits are hidden, and give the pipeline's values for it.

    Args:
        config: The pipeline.
        values: Values of its file.
        base: Folder of the pipeline file.
        folder: Work folder.
        rate: Probability of hiding an input of a row.
    """
    dataset = ingest(config, folder, base)
    samples = open_samples_table(dataset).rows(list(config.inputs), values=True)
    table = _as_written(samples, config, *config.targets)
    table.insert(1, "split", samples["split"])
    split = {"column": "split"}
    groups = open_samples_table(dataset).groups()["group"]
    if groups.notna().any():
        table["split_group"], split["group"] = groups, "split_group"
    manifest = folder / "with-gaps.csv"
    hide(table, config.inputs, rate, 1).to_csv(manifest, index=False)
    data = {"source": str(manifest), "split": split, "roots": _roots(dataset, config)}
    return {**values, "data": data}


def _roots(dataset: Dataset, config: PipelineConfig) -> list[str]:
    """List the folders that media lie in."""
    samples = open_samples_table(dataset).rows(list(config.inputs), values=True)
    folders = {
        str(Path(path).parent)
        for name, section in config.inputs.items()
        if section.modality in ("image", "audio")
        for cell in samples[f"{name}.path"]
        for path in media_paths(cell, section)
        if path is not None
    }
    return sorted(folders)


def _as_written(samples: pd.DataFrame, config: PipelineConfig, *targets: str) -> pd.DataFrame:
    """Give ``id``, targets and cells under the names of the user's columns."""
    columns: dict[str, Any] = {"id": samples["id"]}
    columns |= {name: cells_of(samples, name) for name in targets}
    for name, section in config.inputs.items():
        own = columns_of(section)
        if section.modality in ("image", "audio"):
            paths = [media_paths(cell, section) for cell in samples[f"{name}.path"]]
            columns |= {column: [row[at] for row in paths] for at, column in enumerate(own)}
        elif section.modality == "text":
            columns[own[0]] = samples[f"{name}.text"]
        else:
            columns |= {column: samples[f"{name}.{column}"] for column in own}
    return pd.DataFrame(columns)
