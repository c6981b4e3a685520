"""Test rows as one of two models takes them: its own inputs and columns, whatever the other's file names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.config.inputs import InputConfig
from components.config.pipeline import PipelineConfig
from components.data.contents import content_keys, read_contents
from components.data.examples import as_table
from components.data.keys import id_column
from components.data.parts import Parts, independent_parts
from components.data.quarantine import Quarantine
from components.data.samples import SamplesTable
from components.data.sources.manifest import Batch, Manifest
from components.data.spelling import Spelling, identity
from components.data.times import open_known
from components.inference.bundle import Bundle
from components.inference.canonical import CanonicalRows
from components.inference.learned_rows import LearnedRows, RowNames, name_key
from components.inference.predictor import Predictor
from components.preprocess import Preprocessor
from components.preprocess.composite import first_part
from components.preprocess.tabular import TabularPreprocessor
from components.references import Dataset
from components.storage.column import Column


class HeldOutRows:
    """The N test rows of a pipeline, with what its samples and its manifest hold of them.

    Args:
        table: The samples table.
        dataset: Reference to the samples.
        config: The pipeline.
        folder: Work folder for the index of media files and for generated data.
        base: Folder of the pipeline file.

    Attributes:
        samples: N rows of the samples table, with the contents of the pipeline's inputs.
    """

    def __init__(
        self, table: SamplesTable, dataset: Dataset, config: PipelineConfig, folder: Path, base: Path
    ) -> None:
        self.dataset, self.config = dataset, config
        self.samples = table.split("test", list(config.inputs), values=True)
        self._table, self._folder, self._base = table, folder, base

    @cached_property
    def parts(self) -> Parts:
        """Number the independent part of each row. (N,)."""
        return independent_parts(self._table, self.samples, list(self.config.inputs))

    @cached_property
    def digests(self) -> NDArray[np.uint64]:
        """Digest of what names each row: its id, or its contents where rows are numbered. (N,)."""
        if self.dataset.named:
            return np.fromiter(map(name_key, self.samples["id"]), np.uint64)
        contents = self.samples[[f"{name}.digest" for name in self.config.inputs]]
        return np.fromiter(content_keys(contents.itertuples(index=False)), np.uint64)

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest, opened where it is needed."""
        return open_known(self.config.data, (), self._folder, self._base)

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """Row numbers (N,) in the manifest, -1 for a row that it no longer has."""
        ids, column = self.samples["id"], id_column(self.config.data, self.manifest)
        if column is None:
            return ids.to_numpy(np.int64)
        position_of = {identity(name): position for position, name in enumerate(ids)}
        positions, row = np.full(len(ids), -1), 0
        for batch in self.manifest.batches([column]):
            for cell in batch[column]:
                position = position_of.get(identity(cell))
                if position is not None:
                    positions[position] = row
                row += 1
        return positions

    def contents(self, inputs: Mapping[str, InputConfig], spellings: Mapping[str, Spelling]) -> pd.DataFrame:
        """Read inputs from the manifest as ingest does: N rows with columns as of the samples table."""
        wanted = np.sort(self.positions[self.positions >= 0])
        frames = [pd.DataFrame()]
        if inputs and len(wanted):
            batches = read_contents(
                self.config.model_copy(update={"inputs": dict(inputs)}),
                _only(self.manifest, wanted),
                Column.of(map(str, wanted)),
                spellings,
                self._folder,
                self._base,
                Quarantine(),  # what cannot be read is missing, as it is for a model that is served
            )
            frames = [batch.to_pandas() for batch in batches]
        contents = pd.concat(frames, ignore_index=True).astype(object)
        contents.index = pd.Index(wanted[: len(contents)])
        contents = contents.reindex(self.positions).reset_index(drop=True)
        return contents.where(contents.notna(), None)

    def groups(self, column: str) -> Sequence[Any]:
        """Read the cells (N,) of a column of groups."""
        if column == self.config.data.split.group:
            return list(self._table.column("group").keep(self._table.column("split").equals("test")))
        wanted = np.sort(self.positions[self.positions >= 0])
        cells = [cell for batch in _only(self.manifest, wanted).batches([column]) for cell in batch[column]]
        by_row = dict(zip(wanted.tolist(), cells, strict=True))
        return [by_row.get(row) for row in self.positions.tolist()]


@dataclass(frozen=True)
class ModelRows:
    """The N test rows as a model takes them.

    Attributes:
        tables: N rows with the columns of an input, by input; an input that is lost has no columns.
        known: (N,) bool, marks the rows that the model, or one that taught it, has learned from or was chosen
            by; None where that cannot be told.
        lost: What the model reads and the data lack, in words.
    """

    tables: Mapping[str, pd.DataFrame]
    known: NDArray[np.bool_] | None
    lost: tuple[str, ...]

    def take(self, rows: NDArray[np.intp]) -> ModelRows:
        """Keep some rows."""
        return replace(self, tables={name: table.iloc[rows] for name, table in self.tables.items()})

    def read(self, model: Predictor, part: slice) -> CanonicalRows:
        """Read consecutive rows with the model's preprocessors."""
        tables = {name: self.tables[name].iloc[part] for name in model.inputs}
        inputs = {name: model.read_input(name, table.to_dict("records")) for name, table in tables.items()}
        return CanonicalRows(len(next(iter(tables.values()))), inputs)


def rows_of(model: Bundle, learned: Sequence[LearnedRows], rows: HeldOutRows) -> ModelRows:
    """Give a model its own inputs of the test rows, and find those that it knows.

    An input that the pipeline reads in the same way comes from its samples. Any other is read from the
    manifest, as ingest would with the model's pipeline.

    Args:
        model: The model, which knows its inputs and their spelling.
        learned: Rows that it and its teachers have learned from; empty where that is not recorded.
        rows: The test rows.

    Raises:
        DataError: If the manifest cannot be read.
    """
    tables, digests, unlike = {}, {}, {}
    for name, section in model.inputs.items():
        same = _read_alike(name, section, model, rows)
        if same is None:
            unlike[name] = section
        else:
            parts = _renamed(rows.samples, same, name)
            tables[name], digests[name] = as_table(parts, {name: section}), parts[f"{name}.digest"]
    lost = []
    for name, section in unlike.items():
        columns = [column for column in section.columns if column in rows.manifest.columns]
        lost += [f"column {column!r} ({name})" for column in section.columns if column not in columns]
        unlike[name] = section.model_copy(update={"columns": columns})
    readable = {name: section for name, section in unlike.items() if section.columns}
    if unlike:
        contents = rows.contents(readable, model.spellings)
        tables |= {name: contents[[]] for name in unlike}
        tables |= {name: as_table(contents, {name: section}) for name, section in readable.items()}
        digests |= {name: contents[f"{name}.digest"] for name in readable}
        gone = int((rows.positions < 0).sum())
        lost += [f"{gone} of the rows"] if gone else []
    for name, table in tables.items():
        lost += _emptied(name, table, model.preprocessors[name])

    group_columns = {each.group for each in learned if each.group is not None}
    own_group = rows.config.data.split.group
    without = [each for each in group_columns if each != own_group and each not in rows.manifest.columns]
    lost += [f"column {column!r} (groups of the rows that it knows)" for column in without]
    names = RowNames(
        len(rows.samples),
        rows.digests if rows.dataset.named else None,
        None if lost else np.fromiter(content_keys(zip(*digests.values(), strict=True)), np.uint64),
        {column: rows.groups(column) for column in group_columns if column not in without},
    )
    known = [each.knows(names) for each in learned]
    marked = [each for each in known if each is not None]
    return ModelRows(
        tables, np.any(marked, axis=0) if known and len(marked) == len(known) else None, tuple(lost)
    )


def _read_alike(name: str, section: InputConfig, model: Bundle, rows: HeldOutRows) -> str | None:
    """Return the pipeline's input with the same contents; None if there is none."""
    inputs, spellings = rows.config.inputs, rows.dataset.spellings
    for other in dict.fromkeys([name, *inputs]):
        if other not in inputs or _source(inputs[other]) != _source(section):
            continue
        rules = [Spelling.from_json(spellings.get(column, {"kind": "word"})) for column in section.columns]
        if rules == [model.spelling(column) for column in section.columns]:
            return other
    return None


def _source(section: InputConfig) -> tuple[object, ...]:
    """Options of an input that decide what ingest makes of a row."""
    return section.modality, tuple(section.columns), getattr(section, "silent", None)


def _renamed(samples: pd.DataFrame, old: str, new: str) -> pd.DataFrame:
    """Select the columns of an input under another name of the input."""
    columns = [str(column) for column in samples if str(column).startswith(f"{old}.")]
    return samples[columns].rename(columns=lambda column: f"{new}{str(column).removeprefix(old)}")


def _only(manifest: Manifest, rows: NDArray[np.int64]) -> Manifest:
    """Reduce a manifest to some rows, given in ascending order."""

    def batches(columns: Sequence[str]) -> Iterator[Batch]:
        first = 0
        for batch in manifest.batches(columns):
            stop = first + len(batch[columns[0]])
            part = rows[np.searchsorted(rows, first) : np.searchsorted(rows, stop)] - first
            if len(part):
                yield {column: [batch[column][row] for row in part.tolist()] for column in columns}
            first = stop

    return replace(manifest, batches=batches)


def _emptied(name: str, table: pd.DataFrame, preprocessor: Preprocessor) -> Iterator[str]:
    """Name what is empty in all test rows, though the model has learned from it."""
    empty = [column for column in table if table[column].isna().all()]
    preprocessor = first_part(preprocessor)
    if not isinstance(preprocessor, TabularPreprocessor):
        if len(empty) == len(table.columns) > 0:
            yield f"every cell of {name}"
        return
    learned = preprocessor.state()["learned"] or {}
    for column in empty:
        state = learned.get(column, {})
        if state.get("categories") != [] or state.get("rare"):  # else it was empty in training too
            yield f"every cell of column {column!r} ({name})"
