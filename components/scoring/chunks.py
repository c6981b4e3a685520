"""Scoring of a table in chunks: Parquet parts, quarantine, totals. Safe to kill at any moment."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.quarantine import SCHEMA, Fault, Quarantine
from components.inference.attribution import check_number
from components.inference.predictor import Predictor
from components.scoring.job import Job
from components.scoring.rows import Chunk, open_rows, read_chunks
from components.scoring.summary import Summary, sum_up
from components.storage.atomic import replacing
from components.storage.work import work

_QUARANTINE = pa.schema([*SCHEMA, ("scored", pa.bool_())])
_NAMED = ("model", "model_version", "model_run_id", "run_id")


def score(
    job: Job,
    predictor: Predictor,
    run: str,
    progress: Callable[[int, int, str], None] | None = None,
) -> Summary:
    """Score the chunks that are not done yet, and sum up.

    A row with an unusable input is scored from its others; its ``error`` and the quarantine say so. A row
    without any usable input has no prediction, only its entry in quarantine.

    Args:
        job: Table, model and folder.
        run: MLflow run of the job, a column of the predictions.
        progress: Called with rows done, all rows, and a note.

    Raises:
        DataError: If the table cannot be used, or more than ``max_bad`` of its rows have a fault. Scored
            chunks stay, except those with faults, which are scored again next time.
        ModelError: If shares are wanted from a model with too many inputs.
    """
    config, folder = job.config, Path(job.folder)
    if config.explain:
        check_number(predictor.inputs)
    with work(folder.parent, job.key) as workspace:
        if workspace.result is not None:
            return Summary(**workspace.result)
        rows = open_rows(config, predictor.bundle.inputs, predictor.bundle.spellings)
        parts = _Parts(job, run, predictor)
        bad = sum(len(set(table["row"].to_pylist())) for table in parts.quarantined())
        for chunk in read_chunks(rows, config.chunk_rows, lambda first: not parts.has(first)):
            bad += parts.add(chunk)
            if progress:
                done = chunk.first + len(chunk.ids)
                progress(done, rows.total, f"{bad} rows with faults" if bad else "")
            if bad > config.max_bad * rows.total:
                break
        parts.write_quarantine()
        if bad > config.max_bad * rows.total:
            parts.forget_faulty().check(
                rows.total,
                config.max_bad,
                rows.manifest.name,
                rows.manifest.root,
                job.quarantine,
                option="--max-bad",
                for_missing="",
            )
        summary = sum_up(job, rows, predictor.bundle.delivered.targets, run, bad)
        workspace.finish(asdict(summary))
        parts.tidy()
        return summary


class _Parts:
    """Chunks that are done. The predictions of a chunk are written last, which marks it as done."""

    def __init__(self, job: Job, run: str, predictor: Predictor) -> None:
        self._job, self._predictor = job, predictor
        self._names = dict(zip(_NAMED, (job.model.name, job.model.version, job.model.run, run), strict=True))
        self._faults = Path(job.folder) / "faults"
        # as the rows of a job have one run_id, a part of another MLflow run is not reused
        self.schema = schema(predictor, job.config.explain).with_metadata({"run_id": run})

    def has(self, first: int) -> bool:
        """Tell if the chunk that starts at this row is done; one in a damaged file is not."""
        path = self._part(first)
        try:
            return path.exists() and pq.read_schema(path).equals(self.schema, check_metadata=True)
        except (pa.ArrowException, OSError):
            return False

    def add(self, chunk: Chunk) -> int:
        """Score and write a chunk, and count its rows with faults."""
        known = {(fault.row - chunk.first, fault.input): fault.message for fault in chunk.faults}
        predictions = self._predictor.predict(chunk.table, explain=self._job.config.explain, faults=known)
        faults = [*chunk.faults, *self._further(chunk, predictions, known)]
        scored = (predictions["inputs"] != "").to_numpy(bool)
        self._write_faults(chunk, faults, scored)
        predictions.insert(0, "id", chunk.ids)
        predictions.insert(1, "row", np.arange(chunk.first, chunk.first + len(chunk.ids)))
        table = predictions.loc[scored].assign(**self._names)
        with replacing(self._part(chunk.first)) as temporary:
            columns = [pa.array(table[field.name], field.type, from_pandas=True) for field in self.schema]
            pq.write_table(pa.table(columns, schema=self.schema), temporary, compression="zstd")
        return len({fault.row for fault in faults})

    def quarantined(self) -> Iterator[pa.Table]:
        """Read the faults of each chunk that is done, in order."""
        for path in sorted(self._faults.glob("part-*.parquet")):
            if self.has(int(path.stem.removeprefix("part-")) * self._job.config.chunk_rows):
                yield pq.read_table(path)

    def write_quarantine(self) -> None:
        """Write all faults as one table, one chunk at a time."""
        with (
            replacing(self._job.quarantine) as temporary,
            pq.ParquetWriter(temporary, _QUARANTINE) as writer,
        ):
            for table in self.quarantined():
                writer.write_table(table)

    def forget_faulty(self) -> Quarantine:
        """Collect all faults and mark their chunks as not done, so that mended rows are read again."""
        quarantine = Quarantine()
        for table in self.quarantined():
            for row in table.drop_columns(["scored"]).to_pylist():
                quarantine.add(**row)
            if len(table):
                self._part(table["row"][0].as_py()).unlink()
        return quarantine

    def tidy(self) -> None:
        """Remove the files that only an unfinished job needs."""
        shutil.rmtree(self._faults, ignore_errors=True)

    def _further(
        self, chunk: Chunk, predictions: pd.DataFrame, known: Mapping[tuple[int, str], str]
    ) -> Iterator[Fault]:
        """List faults that only the model finds, and rows without any input."""
        names = "|".join(map(re.escape, self._predictor.inputs))
        for position, (error, used) in enumerate(
            zip(predictions["error"], predictions["inputs"], strict=True)
        ):
            id, row = chunk.ids[position], chunk.first + position
            if pd.notna(error):
                pieces = re.split(rf"(?:^|; )({names}): ", str(error))[1:]
                for name, reason in zip(pieces[::2], pieces[1::2], strict=True):
                    if (position, name) not in known:
                        yield Fault(id, name, None, reason, row)
            elif not used:
                yield Fault(id, "row", None, "no input at all (every input is missing)", row)

    def _write_faults(self, chunk: Chunk, faults: Sequence[Fault], scored: np.ndarray) -> None:
        quarantine = Quarantine()
        quarantine.faults += faults
        table = quarantine.table
        marks = [bool(scored[row - chunk.first]) for row in table["row"].to_pylist()]
        with replacing(self._faults / self._part(chunk.first).name) as temporary:
            pq.write_table(table.append_column("scored", pa.array(marks, pa.bool_())), temporary)

    def _part(self, first: int) -> Path:
        return self._job.predictions / f"part-{first // self._job.config.chunk_rows:06d}.parquet"


def schema(predictor: Predictor, explain: bool) -> pa.Schema:
    """Make the columns of the predictions: id and row of the table, the prediction, and its source."""
    empty = predictor.predict(pd.DataFrame(), explain=explain)
    predicted = [
        pa.field(field.name, pa.string() if pa.types.is_large_string(field.type) else field.type)
        for field in pa.Schema.from_pandas(empty, preserve_index=False)
    ]
    return pa.schema(
        [("id", pa.string()), ("row", pa.int64()), *predicted, *((name, pa.string()) for name in _NAMED)]
    )
