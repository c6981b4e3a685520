"""Test rows as one of two models takes them: its own inputs and columns, whatever the other's file names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from components.config.inputs import InputConfig
from components.config.pipeline import PipelineConfig
from components.data.contents import read_contents
from components.data.examples import as_table
from components.data.keys import id_column
from components.data.quarantine import Quarantine
from components.data.sources.manifest import Batch, Manifest
from components.data.sources.readers import open_manifest
from components.data.spelling import Spelling, identity
from components.inference.bundle import Bundle
from components.inference.canonical import CanonicalRows
from components.inference.predictor import Predictor
from components.preprocess import Preprocessor
from components.preprocess.tabular import TabularPreprocessor
from components.references import Dataset
from components.storage.column import Column


@dataclass(frozen=True)
class TestRows:
    """Test rows of a pipeline, and where its data come from.

    Attributes:
        samples: N rows of the samples table, with the contents of the pipeline's inputs.
        dataset: Reference to the samples.
        config: The pipeline.
        folder: Work folder for the index of media files and for generated data.
        base: Folder of the pipeline file.
    """

    __test__ = False  # pytest

    samples: pd.DataFrame
    dataset: Dataset
    config: PipelineConfig
    folder: Path
    base: Path


@dataclass(frozen=True)
class ModelRows:
    """The N test rows as a model takes them.

    Attributes:
        tables: N rows with the columns of an input, by input; an input that is lost has no columns.
        digests: N rows with the digest of each input's content, None where it is missing.
        lost: What the model reads and the data lack, in words.
    """

    tables: Mapping[str, pd.DataFrame]
    digests: pd.DataFrame
    lost: tuple[str, ...]

    def read(self, model: Predictor, part: slice) -> CanonicalRows:
        """Read consecutive rows with the model's preprocessors."""
        tables = {name: table.iloc[part] for name, table in self.tables.items()}
        inputs = {name: model.read_input(name, table.to_dict("records")) for name, table in tables.items()}
        return CanonicalRows(len(self.digests.iloc[part]), inputs)


def rows_of(model: Bundle, rows: TestRows) -> ModelRows:
    """Give a model its own inputs of the test rows.

    An input that the pipeline reads in the same way comes from its samples. Any other is read from the
    manifest, as ingest would with the model's pipeline.

    Args:
        model: The model, which knows its inputs and their spelling.
        rows: The test rows.

    Raises:
        DataError: If the manifest cannot be read.
    """
    tables, digests, lost = {}, {}, []
    unlike: dict[str, InputConfig] = {}
    for name, section in model.inputs.items():
        same = _read_alike(name, section, model, rows)
        if same is None:
            unlike[name] = section
            continue
        parts = _renamed(rows.samples, same, name)
        tables[name], digests[name] = as_table(parts, {name: section}), parts[f"{name}.digest"]
    if unlike:
        manifest = open_manifest(rows.config.data, rows.folder, rows.base)
        for name, section in unlike.items():
            known = [column for column in section.columns if column in manifest.columns]
            lost += [f"column {column!r} ({name})" for column in section.columns if column not in known]
            unlike[name] = section.model_copy(update={"columns": known})
        readable = {name: section for name, section in unlike.items() if section.columns}
        contents, gone = _contents(readable, model, manifest, rows)
        if gone:
            lost.append(f"{gone} of the rows")
        for name in unlike:
            parts = contents if name in readable else pd.DataFrame({f"{name}.digest": [None] * len(contents)})
            tables[name] = as_table(parts, {name: unlike[name]}) if name in readable else parts[[]]
            digests[name] = parts[f"{name}.digest"]
    for name, table in tables.items():
        lost += _emptied(name, table, model.preprocessors[name])
    # Predictions are made by the names in the model's order.
    return ModelRows({name: tables[name] for name in model.inputs}, pd.DataFrame(digests), tuple(lost))


def _read_alike(name: str, section: InputConfig, model: Bundle, rows: TestRows) -> str | None:
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
    columns = [column for column in samples if column.startswith(f"{old}.")]
    return samples[columns].rename(columns=lambda column: f"{new}{column.removeprefix(old)}")


def _contents(
    inputs: Mapping[str, InputConfig], model: Bundle, manifest: Manifest, rows: TestRows
) -> tuple[pd.DataFrame, int]:
    """Read inputs of the test rows from the manifest; also count the rows that it lacks."""
    positions = _positions(manifest, rows)
    wanted = np.sort(positions[positions >= 0])
    frames = [pd.DataFrame()]
    if inputs and len(wanted):
        batches = read_contents(
            rows.config.model_copy(update={"inputs": dict(inputs)}),
            _only(manifest, wanted),
            Column.of(map(str, wanted)),
            model.spellings,
            rows.folder,
            rows.base,
            Quarantine(),  # what cannot be read is missing, as it is for a model that is served
        )
        frames = [batch.to_pandas() for batch in batches]
    contents = pd.concat(frames, ignore_index=True).astype(object)
    contents.index = pd.Index(wanted if len(contents) else [])
    contents = contents.reindex(positions).reset_index(drop=True)
    return contents.where(contents.notna(), None), int((positions < 0).sum())


def _positions(manifest: Manifest, rows: TestRows) -> np.ndarray:
    """Find the test rows in the manifest: (N,) row numbers, -1 for a row that it lacks."""
    ids = rows.samples["id"]
    column = id_column(rows.config.data, manifest)
    if column is None:
        return ids.to_numpy(np.int64)
    position_of = {identity(name): position for position, name in enumerate(ids)}
    positions = np.full(len(ids), -1)
    row = 0
    for batch in manifest.batches([column]):
        for cell in batch[column]:
            position = position_of.get(identity(cell))
            if position is not None:
                positions[position] = row
            row += 1
    return positions


def _only(manifest: Manifest, rows: np.ndarray) -> Manifest:
    """Reduce a manifest to some rows, given in ascending order."""

    def batches(columns: list[str]) -> Iterator[Batch]:
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
    if not isinstance(preprocessor, TabularPreprocessor):
        if len(empty) == len(table.columns) > 0:
            yield f"every cell of {name}"
        return
    learned = preprocessor.state()["learned"] or {}
    for column in empty:
        if learned.get(column, {}).get("type") != "empty":
            yield f"every cell of column {column!r} ({name})"
