"""Scores a table a chunk at a time: Parquet parts, quarantine, totals. Can be killed at any moment.

A job's folder is named by the digest of everything its predictions depend on::

    predictions/part-000000.parquet   the rows of one chunk; there once the chunk is done
    quarantine.parquet                what could not be used, and why
    job.json  done.json               what was asked for, and the totals at the end
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.config import ConfigError
from components.config.score import ScoreConfig
from components.data.location import content_version
from components.data.quarantine import SCHEMA, Fault, Quarantine
from components.predictor import Predictor
from components.score_rows import Chunk, Rows, open_rows, open_table, read_chunks
from components.shares import check_number
from components.storage.atomic import replacing, write_json
from components.storage.digest import digest_file, digest_json
from components.storage.work import work
from components.targets import Multilabel, Regression, Targets

_DIGITS = 12  # of a job's digest, in its name
_QUARANTINE = pa.schema([*SCHEMA, ("scored", pa.bool_())])
_NAMED = ("model", "model_version", "model_run_id", "run_id")


@dataclass(frozen=True)
class Model:
    """The model that scores.

    Attributes:
        name: Registered name, or that of a run's model that is not registered.
        version: Of the registered model; None where it is not registered.
        run: MLflow run that it comes from.
        bundle: Folder of its bundle.
    """

    name: str
    version: str | None
    run: str
    bundle: str


@dataclass(frozen=True)
class Job:
    """One table scored by one model.

    Attributes:
        key: Name of its folder: another one where the table, the model, or an option that matters is another.
        folder: Where it writes.
        config: What was asked for.
        model: By which it is scored.
    """

    key: str
    folder: str
    config: ScoreConfig
    model: Model

    @property
    def predictions(self) -> Path:
        """Folder of the parts."""
        return Path(self.folder) / "predictions"

    @property
    def quarantine(self) -> Path:
        """Table of what could not be used."""
        return Path(self.folder) / "quarantine.parquet"


@dataclass(frozen=True)
class Summary:
    """Totals of a finished job; JSON-serialisable.

    Attributes:
        run: MLflow run of the job.
        rows: Of the table; each is either scored or not.
        scored: Rows with a prediction.
        not_scored: Rows of which no input could be used; in quarantine alone.
        faulty: Rows in quarantine, scored from their other inputs or not at all.
        missing: Rows scored without an input, by input.
        absent: Columns of the model that the table lacks.
        abstained: Scored rows whose set or interval does not decide, by target.
        labels: Scored rows by label (by each label, where a row has several), by target.
        values: Of a number: mean, lowest and highest, by target.
    """

    run: str
    rows: int
    scored: int
    not_scored: int
    faulty: int
    missing: dict[str, int]
    absent: list[str]
    abstained: dict[str, int]
    labels: dict[str, dict[str, int]]
    values: dict[str, dict[str, float]]


def plan(config: ScoreConfig, model: Model) -> Job:
    """The job that was asked for, new or begun earlier.

    Args:
        config: What was asked for.
        model: By which it is scored.

    Raises:
        DataError: If there is no such table.
        ConfigError: If the folder cannot be written to.
    """
    bundle = Path(model.bundle)
    source = open_table(config).source
    out = Path(config.out).expanduser().resolve()
    digest = digest_json(
        {
            "weights": {
                str(file.relative_to(bundle)): digest_file(file)
                for file in sorted(bundle.rglob("*"))
                if file.is_file()
            },
            "model": [model.name, model.version, model.run],
            "manifest": [source, content_version(source)],
            "options": config.model_dump(mode="json", include={"format", "id", "chunk_rows", "explain"}),
            "out": str(out),
        }
    )
    stem = re.sub(r"[^\w-]+", "-", Path(source).name.partition(".")[0]) or "table"
    name = re.sub(r"[^\w.-]+", "-", "-".join(filter(None, [model.name, model.version])))
    key = f"{stem}-{name}-{digest[:_DIGITS]}"
    try:
        (out / key).mkdir(parents=True, exist_ok=True)
        write_json(
            out / key / "job.json",
            {
                "config": config.model_dump(mode="json", exclude={"sql", "table"}),
                "model": {"name": model.name, "version": model.version, "run": model.run},
            },
        )
    except OSError as error:
        raise ConfigError(f"--out {config.out}: cannot be written to: {error.strerror or error}") from error
    return Job(key, str(out / key), config, model)


def finished(job: Job) -> Summary | None:
    """The totals, if the job is done."""
    done = Path(job.folder) / "done.json"
    return Summary(**json.loads(done.read_text("utf-8"))) if done.exists() else None


def score(
    job: Job,
    predictor: Predictor,
    run: str,
    progress: Callable[[int, int, str], None] | None = None,
) -> Summary:
    """Score what is not scored yet, and sum up.

    A row of which an input cannot be used is scored from its others; its ``error`` and the quarantine say so.
    A row without any usable input has no prediction, only its entry in quarantine.

    Args:
        job: What is scored, and where to.
        predictor: The model.
        run: MLflow run of the job, a column of the predictions.
        progress: Told rows done, all rows, and a note.

    Raises:
        DataError: If the table cannot be used, or more than ``max_bad`` of its rows have a fault. What was
            scored stays, except chunks with faults, which are looked at again next time.
        ModelError: If shares are asked of a model with too many inputs.
    """
    config, folder = job.config, Path(job.folder)
    if config.explain:
        check_number(predictor.inputs)
    with work(folder.parent, job.key) as place:
        if place.result is not None:
            return Summary(**place.result)
        rows = open_rows(config, predictor.bundle.inputs)
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
            found = parts.forget_faulty()
            found.check(
                rows.total,
                config.max_bad,
                rows.manifest.name,
                rows.manifest.root,
                job.quarantine,
                "--max-bad",
            )
        summary = _sum_up(job, rows, predictor.bundle.delivered.targets, run, bad)
        place.finish(asdict(summary))
        parts.tidy()
        return summary


class _Parts:
    """The chunks that are done. The predictions of a chunk are written last, and say that it is done."""

    def __init__(self, job: Job, run: str, predictor: Predictor) -> None:
        self._job, self._predictor = job, predictor
        self._names = dict(zip(_NAMED, (job.model.name, job.model.version, job.model.run, run), strict=True))
        self._faults = Path(job.folder) / "faults"
        self.schema = schema(predictor, job.config.explain)

    def has(self, first: int) -> bool:
        """Whether the chunk that starts at this row is done; a damaged file is not."""
        path = self._part(first)
        try:
            return path.exists() and pq.read_schema(path).equals(self.schema)
        except (pa.ArrowException, OSError):
            return False

    def add(self, chunk: Chunk) -> int:
        """Score and write a chunk; give the number of its rows with faults."""
        known = {(fault.row - chunk.first, fault.input): _told(fault) for fault in chunk.faults}
        answers = self._predictor.predict(chunk.table, explain=self._job.config.explain, faults=known)
        faults = [*chunk.faults, *self._further(chunk, answers, known)]
        scored = (answers["inputs"] != "").to_numpy(bool)
        self._write_faults(chunk, faults, scored)
        places = np.flatnonzero(scored)
        answers.insert(0, "id", chunk.ids)
        answers.insert(1, "row", np.arange(chunk.first, chunk.first + len(chunk.ids)))
        table = answers.iloc[places].assign(**self._names)
        with replacing(self._part(chunk.first)) as temporary:
            columns = [pa.array(table[field.name], field.type, from_pandas=True) for field in self.schema]
            pq.write_table(pa.table(columns, schema=self.schema), temporary, compression="zstd")
        return len({fault.row for fault in faults})

    def quarantined(self) -> Iterator[pa.Table]:
        """Faults of each chunk that is done, in order."""
        for path in sorted(self._faults.glob("part-*.parquet")):
            if self.has(int(path.stem.removeprefix("part-")) * self._job.config.chunk_rows):
                yield pq.read_table(path)

    def write_quarantine(self) -> None:
        """All faults as one table, copied a chunk at a time."""
        with (
            replacing(self._job.quarantine) as temporary,
            pq.ParquetWriter(temporary, _QUARANTINE) as writer,
        ):
            for table in self.quarantined():
                writer.write_table(table)

    def forget_faulty(self) -> Quarantine:
        """All faults; chunks that have any are not done any more, so that what is mended is looked at."""
        found = Quarantine()
        for table in self.quarantined():
            for row in table.drop_columns(["scored"]).to_pylist():
                found.add(**row)
            if len(table):
                self._part_of(table).unlink()
        return found

    def tidy(self) -> None:
        """Remove what only an unfinished job needs."""
        shutil.rmtree(self._faults, ignore_errors=True)

    def _further(
        self, chunk: Chunk, answers: pd.DataFrame, known: Mapping[tuple[int, str], str]
    ) -> Iterator[Fault]:
        """Faults that only the model found, and rows without any input."""
        names = "|".join(map(re.escape, self._predictor.inputs))
        for place, (error, used) in enumerate(zip(answers["error"], answers["inputs"], strict=True)):
            id, row = chunk.ids[place], chunk.first + place
            if pd.notna(error):
                pieces = re.split(rf"(?:^|; )({names}): ", str(error))[1:]
                for name, reason in zip(pieces[::2], pieces[1::2], strict=True):
                    if (place, name) not in known:
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

    def _part_of(self, faults: pa.Table) -> Path:
        return self._part(faults["row"][0].as_py())


def schema(predictor: Predictor, explain: bool) -> pa.Schema:
    """Columns of the predictions: id and row of the table, the answer, and where it comes from."""
    empty = predictor.predict(pd.DataFrame(), explain=explain)
    answer = [
        pa.field(field.name, pa.string() if pa.types.is_large_string(field.type) else field.type)
        for field in pa.Schema.from_pandas(empty, preserve_index=False)
    ]
    return pa.schema(
        [("id", pa.string()), ("row", pa.int64()), *answer, *((name, pa.string()) for name in _NAMED)]
    )


def parts_of(job: Job) -> list[Path]:
    """Files of the predictions, in order."""
    return sorted(job.predictions.glob("part-*.parquet"))


def _told(fault: Fault) -> str:
    return f"{fault.path}: {fault.reason}" if fault.path else fault.reason


def _sum_up(job: Job, rows: Rows, targets: Targets, run: str, faulty: int) -> Summary:
    """Totals from the parts, one at a time."""
    scored = 0
    missing: Counter[str] = Counter()
    abstained: Counter[str] = Counter()
    labels: dict[str, Counter[str]] = {}
    sums: dict[str, tuple[float, float, float]] = {}  # total, lowest, highest
    for path in parts_of(job):
        table = pq.read_table(path).to_pandas()
        scored += len(table)
        used = [set(inputs.split("+")) for inputs in table["inputs"]]
        missing.update({name: sum(name not in each for each in used) for name in rows.inputs})
        for target in targets:
            prefix = f"{target.name}_" if len(targets) > 1 else ""
            abstained[target.name] += int(table[f"{prefix}abstain"].sum())
            if isinstance(target, Regression):
                values = table[f"{prefix}value"].to_numpy(np.float64)
                if len(values):
                    total, lowest, highest = sums.get(target.name, (0.0, np.inf, -np.inf))
                    sums[target.name] = (
                        total + float(values.sum()),
                        min(lowest, float(values.min())),
                        max(highest, float(values.max())),
                    )
                continue
            counts = labels.setdefault(target.name, Counter())
            if isinstance(target, Multilabel):
                for cell in table[f"{prefix}labels"]:
                    counts.update(cell.split(target.separator) if cell != target.none else [target.none])
            else:
                counts.update(table[f"{prefix}label"])
    return Summary(
        run=run,
        rows=rows.total,
        scored=scored,
        not_scored=rows.total - scored,
        faulty=faulty,
        missing={name: missing[name] for name in rows.inputs},
        absent=list(rows.absent),
        abstained={target.name: abstained[target.name] for target in targets},
        labels={name: dict(sorted(counts.items())) for name, counts in labels.items()},
        values={
            name: {"mean": total / scored, "lowest": lowest, "highest": highest}
            for name, (total, lowest, highest) in sums.items()
            if scored
        },
    )
