"""Rows in the form that is compared with others: embeddings, columns, predictions, targets."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.preprocess import Preprocessor
from components.preprocess.columns import name_of
from components.preprocess.composite import first_part
from components.preprocess.tabular import TabularPreprocessor
from components.preprocess.values import is_missing, to_datetime, to_number
from components.storage.atomic import replacing
from components.storage.column import read_vectors, vector_column
from components.targets import FloatArray

Cells = FloatArray | list[str | None]
"""A column: numbers (N,) with NaN where empty, or words."""

MEDIA = ("image", "audio")
"""Modalities whose rows hold files."""

_VECTOR, _FILE, _COLUMN, _ANSWER, _TARGET = "vector.", "file.", "column.", "answer.", "target."
_FACTS = ("rows", "faulty", "judged", "allow_missing_files", "group")
_GROUP = "group"  # no prefix of another column
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Sample:
    """N usable rows.

    Attributes:
        rows: N.
        present: Which rows have an input, (N,) by input.
        vectors: Embeddings of the rows that have it, (n, D) by input.
        files: Digests (N,) of the images or audio of a row, None where it has none; by input.
        columns: By input, then by name: numbers that summarise it, or the cells of a table.
        answers: The model's predictions (N, P) by target.
        targets: Cells by target; those that the table lacks are left out.
        faulty: Rows with a fault, of ``judged`` that were looked at; they are not among the N.
        judged: See there.
        allow_missing_files: Whether a file that does not exist was a missing input and no fault.
        group: Column of groups that training kept whole; None without one.
        groups: Groups (N,) of the rows, None where a cell is empty; None where they are not known.
    """

    rows: int
    present: dict[str, NDArray[np.bool_]]
    vectors: dict[str, np.ndarray]
    files: dict[str, list[str | None]]
    columns: dict[str, dict[str, Cells]]
    answers: dict[str, FloatArray]
    targets: dict[str, list[str | None]]
    faulty: int
    judged: int
    allow_missing_files: bool = False
    group: str | None = None
    groups: list[str | None] | None = None


def write_sample(sample: Sample, path: Path) -> None:
    """As a Parquet file, a row a sample."""
    columns: dict[str, pa.Array] = {
        **{
            f"{_VECTOR}{name}": vector_column(vectors, sample.present[name])
            for name, vectors in sample.vectors.items()
        },
        **{f"{_FILE}{name}": pa.array(digests, pa.string()) for name, digests in sample.files.items()},
        **{
            f"{_COLUMN}{name}.{column}": _column(cells)
            for name, columns in sample.columns.items()
            for column, cells in columns.items()
        },
        **{f"{_ANSWER}{name}": pa.array(list(values)) for name, values in sample.answers.items()},
        **{f"{_TARGET}{name}": pa.array(cells, pa.string()) for name, cells in sample.targets.items()},
        **({} if sample.groups is None else {_GROUP: pa.array(sample.groups, pa.string())}),
    }
    facts = {name: getattr(sample, name) for name in _FACTS}
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns).replace_schema_metadata({"sample": json.dumps(facts)}), temporary)


def read_sample(path: Path) -> Sample:
    """Read what :func:`write_sample` wrote."""
    table = pq.read_table(path)
    facts = json.loads(table.schema.metadata[b"sample"])
    names = [name.removeprefix(_VECTOR) for name in table.column_names if name.startswith(_VECTOR)]
    vectors, present = {}, {}
    for name in names:
        vectors[name], rows = read_vectors(table.column(f"{_VECTOR}{name}"))
        present[name] = np.isin(np.arange(facts["rows"]), rows)
    columns: dict[str, dict[str, Cells]] = {name: {} for name in names}
    for name in table.column_names:
        if name.startswith(_COLUMN):
            input, _, column = name.removeprefix(_COLUMN).partition(".")
            columns[input][column] = _cells(table.column(name))
    return Sample(
        present=present,
        vectors=vectors,
        files={name: table.column(f"{_FILE}{name}").to_pylist() for name in _named(table, _FILE)},
        columns=columns,
        answers={
            name: np.array(table.column(f"{_ANSWER}{name}").to_pylist(), np.float64)
            for name in _named(table, _ANSWER)
        },
        targets={name: table.column(f"{_TARGET}{name}").to_pylist() for name in _named(table, _TARGET)},
        groups=table.column(_GROUP).to_pylist() if _GROUP in table.column_names else None,
        **facts,
    )


def table_columns(preprocessor: Preprocessor, rows: Sequence[Mapping[str, object]]) -> dict[str, Cells]:
    """Cells of a tabular input, read as its preprocessor learned them: times are days since 1970.

    Args:
        preprocessor: Fitted; of another modality there are no columns.
        rows: Cells by column, none where a row lacks the input.
    """
    preprocessor = first_part(preprocessor)
    if not isinstance(preprocessor, TabularPreprocessor):
        return {}
    columns: dict[str, Cells] = {}
    for name, learned in preprocessor.state()["learned"].items():
        cells = [row.get(name) for row in rows]
        match learned["type"]:
            case "numeric":
                columns[name] = _numbers(map(to_number, cells))
            case "datetime":
                moments = map(to_datetime, cells, repeat(learned["format"]))
                columns[name] = _numbers(
                    None if moment is None else (moment - _EPOCH).total_seconds() / 86400
                    for moment in moments
                )
            case _:
                spelling = preprocessor.spellings[name]
                columns[name] = [None if is_missing(cell) else name_of(cell, spelling) for cell in cells]
    return columns


def _numbers(values: Iterator[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _column(cells: Cells) -> pa.Array:
    return pa.array(cells, pa.string()) if isinstance(cells, list) else pa.array(cells)


def _cells(column: pa.ChunkedArray) -> Cells:
    return column.to_pylist() if pa.types.is_string(column.type) else column.to_numpy()


def _named(table: pa.Table, prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in table.column_names if name.startswith(prefix)]
