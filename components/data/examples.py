"""Rows of the samples table in the form in which users give rows to a model."""

import base64
from collections.abc import Mapping

import pandas as pd

from components.config.inputs import InputConfig
from components.data.files.content import media_bytes
from components.data.samples import media_paths
from components.data.spelling import typed

_LARGEST = 256 * 1024  # bytes per file, as every model is stored with an example


def as_table(samples: pd.DataFrame, inputs: Mapping[str, InputConfig]) -> pd.DataFrame:
    """Rebuild the manifest's columns from the columns ``<input>.<part>`` of the samples table.

    Text that ingest joined from several columns comes back in the first of them.

    Args:
        samples: Rows of the samples table.
        inputs: Configuration of each input, by name.

    Returns:
        The rows with the manifest's columns, None for each empty cell.
    """
    columns: dict[str, pd.Series] = {}
    for name, config in inputs.items():
        match config.modality:
            case "image" | "audio":
                paths = [media_paths(cell, config) for cell in samples[f"{name}.path"]]
                for index, column in enumerate(config.columns):
                    columns[column] = pd.Series([row[index] for row in paths], samples.index, dtype=object)
            case "text":
                columns[config.columns[0]] = samples[f"{name}.text"]
            case _:
                # As numbers, which no rule of a model reads a second time.
                columns |= {
                    column: samples[f"{name}.{column}"].astype(object).map(typed, na_action="ignore")
                    for column in config.columns
                }
    table = pd.DataFrame(columns, index=samples.index).astype(object)
    return table.where(table.notna(), None)


def with_content(table: pd.DataFrame, inputs: Mapping[str, InputConfig]) -> pd.DataFrame:
    """Replace each path by the file's content as base64, so that the rows can be sent to another machine.

    A file of more than 256 KiB becomes an empty cell, as a row may lack any input.

    Args:
        table: Rows of :func:`as_table`.
        inputs: Configuration of each input, by name.
    """
    table = table.copy()
    for config in inputs.values():
        if config.modality in ("image", "audio"):
            for column in [each for each in config.columns if each in table]:
                table[column] = pd.Series(
                    [_content(path) for path in table[column]], table.index, dtype=object
                )
    return table


def _content(path: str | None) -> str | None:
    data = None if path is None else media_bytes(path)
    if data is None or len(data) > _LARGEST:
        return None
    return f"data:;base64,{base64.b64encode(data).decode()}"
