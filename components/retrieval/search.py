"""Search for the nearest samples of one input by a query of another, with a delivered model."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from components.config import InputConfig
from components.config.score import BATCH
from components.data.rows import LOOKERS, chunked, model_columns, open_table, usable_rows
from components.data.values import read_cells
from components.errors import DataError, ModelError, nearest
from components.inference.bundle import GALLERY
from components.inference.predictor import Predictor
from components.retrieval.gallery import read_vectors, shown
from components.targets import PREFIX


@dataclass(frozen=True)
class Hit:
    """One near sample.

    Attributes:
        id: Id of the sample.
        similarity: Cosine in the shared space, -1 to 1.
        shown: Path, text or cells of the searched input.
        targets: Known values of the sample, by target.
    """

    id: str
    similarity: float
    shown: str
    targets: dict[str, str]


class Search:
    """Search across the inputs of one delivered model.

    Args:
        bundle: Folder written by :func:`components.inference.bundle.save_bundle`.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ModelError: If the model was made without an ``alignment``.
    """

    def __init__(self, bundle: Path, device: str = "auto") -> None:
        self.predictor = Predictor(bundle, device)
        self.gallery = bundle / GALLERY
        if self.predictor.bundle.aligned is None:
            raise ModelError(
                f"model {self.predictor.bundle.facts['name']!r} cannot be searched: its pipeline has no "
                "alignment. Add that section to the pipeline file and run it again."
            )
        self.aligned = self.predictor.bundle.aligned

    def find(self, query: Any, source: str, wanted: str, top: int, manifest: str | None = None) -> list[Hit]:
        """Find the samples whose input ``wanted`` is nearest to a query.

        Args:
            query: Path, bytes or base64 text of an image or audio; text; cells by column, or as JSON.
            source: Input of the query.
            wanted: Input to search.
            top: Most samples to return.
            manifest: Table to search, with the columns of the pipeline file; None searches the training rows
                that the model carries.

        Returns:
            Samples, the nearest first.

        Raises:
            ModelError: If the model has no such input.
            DataError: If the query, or the table, cannot be read.
        """
        for option, name in (("from", source), ("to", wanted)):
            if name not in self.predictor.inputs:
                known = ", ".join(self.predictor.inputs)
                raise ModelError(
                    f"--{option} {name}: not an input of the model; it has: {known}."
                    f"{nearest(name, self.predictor.inputs)}"
                )
        vector = self.embed(source, [self._cells(source, query)])[0]
        if np.isnan(vector).any():
            raise DataError(f"--query {query!r}: there is nothing in it to search by")
        if manifest is None:
            return self._in_gallery(vector, wanted, top)
        return self._in_table(vector, wanted, top, manifest)

    @torch.inference_mode()
    def embed(self, name: str, rows: list[dict[Any, Any]]) -> np.ndarray:
        """Compute unit vectors (N, W) of an input, NaN where a row has none.

        Args:
            rows: Cells of N rows by column.

        Raises:
            DataError: If a cell cannot be read, with the input and the reason.
        """
        canonical = self.predictor.read_input(name, rows)
        if canonical.errors:
            raise DataError(f"{name}: {next(iter(canonical.errors.values()))}")
        embeddings = self.predictor.embed_input(name, canonical.arrays, len(rows))
        vectors = self.aligned.unit(name, embeddings.fusion).cpu().numpy()
        vectors[~embeddings.present.cpu().numpy()] = np.nan
        return vectors

    def _cells(self, name: str, query: Any) -> dict[Any, Any]:
        options = self.predictor.bundle.inputs[name]
        if options.modality != "tabular" or isinstance(query, dict):
            return query if isinstance(query, dict) else {options.columns[0]: query}
        try:
            cells = json.loads(query)
        except json.JSONDecodeError as error:
            raise DataError(_not_cells(query, options)) from error
        if not isinstance(cells, dict) or not set(cells) & set(options.columns):
            raise DataError(_not_cells(query, options))
        return cells

    def _in_gallery(self, vector: np.ndarray, wanted: str, top: int) -> list[Hit]:
        vectors, rows = read_vectors(self.gallery, wanted)
        best, similarity = first(vectors @ vector, top)
        targets = [name for name in pq.read_schema(self.gallery).names if name.startswith(PREFIX)]
        table = pq.read_table(self.gallery, columns=["id", f"{wanted}.shown", *targets]).take(rows[best])
        return [
            Hit(
                row["id"],
                float(near),
                row[f"{wanted}.shown"],
                {name.removeprefix(PREFIX): row[name] for name in targets if row[name] is not None},
            )
            for row, near in zip(table.to_pylist(), similarity, strict=True)
        ]

    def _in_table(self, vector: np.ndarray, wanted: str, top: int, source: str) -> list[Hit]:
        """Search a table, read and embedded in batches; only the best samples are held."""
        hits: list[Hit] = []
        options, spellings = self.predictor.bundle.inputs[wanted], self.predictor.bundle.spellings
        for ids, rows in self._batches(wanted, source):
            similarity = self.embed(wanted, rows) @ vector
            hits += [
                Hit(
                    ids[row],
                    float(similarity[row]),
                    shown(read_cells(rows[row], options, spellings), options),
                    {},
                )
                for row in np.flatnonzero(~np.isnan(similarity))
            ]
            hits = sorted(hits, key=lambda hit: -hit.similarity)[:top]
        return hits

    def _batches(self, wanted: str, source: str) -> Iterator[tuple[list[str], list[dict[Any, Any]]]]:
        """Read ids and cells of the table, as scoring does.

        Raises:
            DataError: If it cannot be read, has none of the input's columns, or a cell that cannot be used.
        """
        manifest = open_table(source)
        # as rows without the input are skipped, though training may have required it
        inputs = {wanted: self.predictor.bundle.inputs[wanted].model_copy(update={"required": False})}
        columns, _ = model_columns(manifest, inputs)
        named = "id" in manifest.columns
        read = list(dict.fromkeys([*columns, *(["id"] if named else [])]))
        with ThreadPoolExecutor(LOOKERS) as pool:
            for start, batch in chunked(manifest, read, BATCH):
                numbers = range(start, start + len(batch[columns[0]]))
                ids = [str(cell) for cell in batch["id"]] if named else list(map(str, numbers))
                table, faults = usable_rows(manifest, inputs, batch, numbers, ids, pool)
                if faults:
                    raise DataError(
                        f"--manifest {source}: row {faults[0].row}, {wanted}: {faults[0].message}. "
                        "Mend or empty the cell"
                    )
                yield ids, table.to_dict("records")


def first(similarity: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose positions and similarities of the ``top`` highest of (N,), the highest first."""
    best = np.argsort(-similarity, kind="stable")[:top]
    return best, similarity[best]


def _not_cells(query: Any, options: InputConfig) -> str:
    example = json.dumps({options.columns[0]: 1})
    return f"--query {query!r}: expected a JSON object with columns of {options.columns}, such as {example}"
