"""New rows, drawn from a table of any size and checked as in training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from components.config.monitor import MonitorConfig
from components.config.score import BATCH
from components.data.files.media_index import MISSING
from components.data.forms import other_forms
from components.data.quarantine import Fault, Quarantine
from components.data.rows import LOOKERS, chunked, model_columns, open_table, text_cell, usable_rows
from components.data.sources.manifest import Batch, Manifest
from components.data.spelling import identity
from components.data.values import read_cells
from components.errors import DataError
from components.inference.canonical import CanonicalRows
from components.inference.predictor import Predictor
from components.inference.reference_rows import MEDIA, Cells, Sample, table_columns
from components.models.fusion.masking import as_vector
from components.monitoring.summaries import SUMMARIES, summarise
from components.preprocess.values import is_missing
from components.storage.digest import digest_bytes

LEAST_ROWS = 20


@dataclass(frozen=True)
class Incoming:
    """Rows drawn from a table.

    Attributes:
        sample: Rows without faults.
        total: Number of rows of the table.
        absent: Columns of the model that the table lacks.
        forms: Sentences on numbers and dates of other forms than training had.
        quarantine: Unusable inputs of the drawn rows, with reasons.
    """

    sample: Sample
    total: int
    absent: tuple[str, ...]
    forms: tuple[str, ...]
    quarantine: Quarantine


def look(
    config: MonitorConfig,
    predictor: Predictor,
    old: Sample,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Incoming:
    """Draw rows, embed them with the model's encoders, and predict them.

    The table is read twice, a batch at a time: to count its rows, and for those that were drawn.

    Args:
        config: Configuration with the table and the number of rows to draw.
        old: Reference rows of the model, which know if missing files were allowed in training.
        progress: Called with rows done and rows drawn.

    Raises:
        DataError: If the table cannot be read, has fewer than LEAST_ROWS rows or none of the model's columns,
            or a cell that its input cannot be.
    """
    manifest = open_table(config.manifest, config.format)
    present, absent = model_columns(manifest, predictor.bundle.inputs)
    targets = [
        target.name for target in predictor.bundle.delivered.targets if target.name in manifest.columns
    ]
    total = sum(len(batch[present[0]]) for batch in manifest.batches([present[0]]))
    if total < LEAST_ROWS:
        raise DataError(
            f"{manifest.name}: has {total} rows; to tell drift from chance it needs at least {LEAST_ROWS}. "
            "Wait for more, or put several tables together"
        )
    drawn = np.sort(np.random.default_rng(config.seed).permutation(total)[: config.rows])
    group = old.group if old.group in manifest.columns else None
    parts, quarantine, done = _Parts(predictor, targets, old.allow_missing_files, group), Quarantine(), 0
    columns = list(dict.fromkeys([*present, *targets, *([group] if group else [])]))
    with ThreadPoolExecutor(LOOKERS) as pool:
        for numbers, batch in _drawn_rows(manifest, columns, drawn):
            parts.add(manifest, batch, numbers, pool, quarantine)
            done += len(numbers)
            progress(done, len(drawn))
    spellings = predictor.bundle.spellings
    forms = other_forms(manifest, {column: spellings[column] for column in present if column in spellings})
    return Incoming(parts.sample(len(drawn), quarantine), total, absent, forms, quarantine)


def _drawn_rows(
    manifest: Manifest, columns: Sequence[str], drawn: np.ndarray
) -> Iterator[tuple[list[int], Batch]]:
    """Read the cells of the rows with these numbers, in order, BATCH at a time."""
    held: Batch = {column: [] for column in columns}
    numbers: list[int] = []
    for first, batch in chunked(manifest, columns, BATCH):
        end = first + len(batch[columns[0]])
        for row in drawn[np.searchsorted(drawn, first) : np.searchsorted(drawn, end)].tolist():
            numbers.append(row)
            for column in columns:
                held[column].append(batch[column][row - first])
            if len(numbers) == BATCH:
                yield numbers, held
                held, numbers = {column: [] for column in columns}, []
    if numbers:
        yield numbers, held


class _Parts:
    """Collector of the reference quantities of batch after batch."""

    def __init__(
        self, predictor: Predictor, targets: Sequence[str], allow_missing_files: bool, group: str | None
    ) -> None:
        self._predictor, self._group = predictor, group
        self._groups: list[str | None] = []
        self._allow_missing_files = allow_missing_files
        self._present: dict[str, list[np.ndarray]] = {name: [] for name in predictor.inputs}
        self._vectors: dict[str, list[np.ndarray]] = {name: [] for name in predictor.inputs}
        self._summaries: dict[str, list[np.ndarray]] = {name: [] for name in predictor.inputs}
        self._files: dict[str, list[str | None]] = {
            name: [] for name, section in predictor.bundle.inputs.items() if section.modality in MEDIA
        }
        self._cells: dict[str, list[dict[str, object]]] = {name: [] for name in predictor.inputs}
        self._predictions: dict[str, list[np.ndarray]] = {
            target.name: [] for target in predictor.bundle.delivered.targets
        }
        self._targets: dict[str, list[str | None]] = {name: [] for name in targets}

    def add(
        self,
        manifest: Manifest,
        batch: Batch,
        numbers: Sequence[int],
        pool: ThreadPoolExecutor,
        quarantine: Quarantine,
    ) -> None:
        """Send rows with a fault to quarantine, as a whole, as in training; keep the others.

        Args:
            batch: Cells of N rows by column.
            numbers: (N,) numbers of the rows in the table.
            pool: Threads that open files.
            quarantine: Quarantine that the faults are added to.
        """
        predictor = self._predictor
        ids, position_of = list(map(str, numbers)), {row: position for position, row in enumerate(numbers)}
        table, faults = usable_rows(manifest, predictor.bundle.inputs, batch, numbers, ids, pool)
        known = {(position_of[fault.row], fault.input): fault.reason for fault in faults}
        rows = predictor.read(table, faults=known)
        faults += [
            Fault(ids[position], name, None, reason, numbers[position])
            for name, each in rows.inputs.items()
            for position, reason in each.errors.items()
            if (position, name) not in known
        ]
        if self._allow_missing_files:
            faults = [fault for fault in faults if not fault.reason.startswith(MISSING)]
        given = {position for each in rows.inputs.values() for position in each.arrays}
        wrong = {fault.row for fault in faults}
        faults += [
            Fault(ids[position], "row", None, "no input at all (every input is missing)", row)
            for row, position in position_of.items()
            if position not in given and row not in wrong
        ]
        quarantine.faults += faults
        bad = {fault.row for fault in faults}
        good = [position for row, position in position_of.items() if row not in bad]
        for name, cells in self._targets.items():
            for row in good:
                cell, read = batch[name][row], partial(predictor.bundle.target_cell, name)
                cells.append(text_cell(cell, manifest.name, name, numbers[row], read))
        if self._group is not None:
            cells = [batch[self._group][row] for row in good]
            self._groups += [None if is_missing(cell) else identity(cell) for cell in cells]
        if good:
            self._keep(rows.take(good), table.iloc[good])

    def sample(self, judged: int, quarantine: Quarantine) -> Sample:
        """Put the batches together."""
        inputs = self._predictor.bundle.inputs
        present = {name: np.concatenate([np.zeros(0, bool), *self._present[name]]) for name in inputs}
        columns: dict[str, dict[str, Cells]] = {}
        for name, section in inputs.items():
            if section.modality == "tabular":
                preprocessor = self._predictor.bundle.preprocessors[name]
                columns[name] = table_columns(preprocessor, self._cells[name])
            else:
                names = SUMMARIES[section.modality]
                numbers = np.concatenate([np.zeros((0, len(names))), *self._summaries[name]])
                columns[name] = dict(zip(names, numbers.T, strict=True))
        return Sample(
            rows=len(next(iter(present.values()))),
            present=present,
            vectors={name: np.concatenate([*self._vectors[name]] or [np.zeros((0, 0))]) for name in inputs},
            files=self._files,
            columns=columns,
            answers={
                target.name: np.concatenate(
                    self._predictions[target.name] or [np.zeros((0, len(target.columns)))]
                )
                for target in self._predictor.bundle.delivered.targets
            },
            targets=self._targets,
            faulty=len(quarantine.rows),
            judged=judged,
            group=self._group,
            groups=None if self._group is None else self._groups,
        )

    def _keep(self, rows: CanonicalRows, table: pd.DataFrame) -> None:
        """Keep what is compared of N good rows."""
        predictor = self._predictor
        embeddings = predictor.embed(rows)
        for name, each in embeddings.inputs.items():
            present = each.present.cpu().numpy()
            self._present[name].append(present)
            self._vectors[name].append(as_vector(each.fusion).cpu().numpy()[present])
            self._describe(name, rows.inputs[name].arrays, table)
        model = predictor.bundle.delivered
        for target in model.targets:
            self._predictions[target.name].append(model.answer(target, embeddings, predictor.inputs).numpy())

    def _describe(self, name: str, arrays: Mapping[int, np.ndarray], table: pd.DataFrame) -> None:
        """Keep cells or summaries of one input of N rows, and digests of its files."""
        bundle = self._predictor.bundle
        config, preprocessor, spellings = bundle.inputs[name], bundle.preprocessors[name], bundle.spellings
        cells, positions = self._predictor.cells(table, name), range(len(table))
        if config.modality == "tabular":
            values = {row: read_cells(cells[row], config, spellings) for row in arrays}
            self._cells[name] += [values.get(row) or {} for row in positions]
            return
        if name in self._files:
            self._files[name] += [
                digest_bytes(arrays[row].tobytes()) if row in arrays else None for row in positions
            ]
        numbers = np.full((len(table), len(SUMMARIES[config.modality])), np.nan)
        for row, array in arrays.items():
            value = array if name in self._files else read_cells(cells[row], config, spellings)
            numbers[row] = summarise(preprocessor, value)
        self._summaries[name].append(numbers)
