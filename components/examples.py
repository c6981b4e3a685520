"""Rows of the samples table in the form in which users give rows to a model."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from components.config.inputs import InputConfig
from components.samples import media_paths


def as_table(samples: pd.DataFrame, inputs: Mapping[str, InputConfig]) -> pd.DataFrame:
    """The manifest's columns again, from the samples table's ``<input>.<part>`` columns.

    Text that was joined from several columns stands in the first of them.
    """
    columns: dict[str, pd.Series] = {}
    for name, config in inputs.items():
        match config.modality:
            case "image" | "audio":
                paths = [media_paths(cell, config) for cell in samples[f"{name}.path"]]
                for place, column in enumerate(config.columns):
                    columns[column] = pd.Series([row[place] for row in paths], samples.index, dtype=object)
            case "text":
                columns[config.columns[0]] = samples[f"{name}.text"]
            case _:
                columns |= {column: samples[f"{name}.{column}"] for column in config.columns}
    table = pd.DataFrame(columns, index=samples.index).astype(object)
    return table.where(table.notna(), None)
