"""Keys of the rows: id, targets, group and split. They are read before the contents, which take longer."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.config.data import ColumnConfig, DataConfig
from components.config.inputs import TabularInput, TextInput
from components.config.pipeline import PipelineConfig
from components.config.targets import MultilabelTarget, RegressionTarget, TargetConfig
from components.data.cells import UnusableCellError, cells_as_text, word_of
from components.data.checks import check_keys
from components.data.guess import Reading, TableGuess, Wanted, empty_words
from components.data.labels import unusable_target
from components.data.numbers import Mark
from components.data.quarantine import Quarantine
from components.data.sources.manifest import Manifest
from components.data.spelling import Spelling, SpellingGuess, guess_spelling
from components.data.splits import UNLABELLED, normal_split
from components.errors import DataError
from components.storage.column import Column
from components.targets.multilabel import split_labels

logger = logging.getLogger(__name__)

_ROWS = 4096  # in Python's objects at a time; Arrow's arrays take far less memory


@dataclass(frozen=True)
class Keys:
    """Keys of all rows of a source, in its order.

    Attributes:
        ids: Unique id of each row.
        named: True where a column gives the ids; False where rows are numbered, and known by their content.
        targets: Target cells by column.
        groups: Group of each row; all None where rows are not grouped.
        splits: Split of each row; None where braid draws them.
        audit_groups: Cells of group columns that only the audit reads, by column.
        unreadable: Row and reason of each target that cannot be read as text.
        readings: Rule of each target and of each column of the inputs, by column.
    """

    ids: Column
    named: bool
    targets: dict[str, Column]
    groups: Column
    splits: list[str] | None
    audit_groups: dict[str, Column]
    unreadable: list[tuple[int, str]]
    readings: dict[str, Reading]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> np.ndarray:
        """(N,) bool, True for each row that has a target."""
        known = [cells.values.is_valid().to_numpy() for cells in self.targets.values()]
        labelled: np.ndarray = np.any(known, axis=0)
        return labelled

    @property
    def spellings(self) -> dict[str, Spelling]:
        """Rule of each column."""
        return {column: reading.spelling for column, reading in self.readings.items()}


def read_keys(config: PipelineConfig, manifest: Manifest) -> Keys:
    """Read and check the keys of all rows.

    Args:
        config: Pipeline configuration.
        manifest: Table to read.

    Returns:
        Keys of all rows, the rows with unusable targets included.

    Raises:
        DataError: If ids are not unique, a split is unknown, or a cell's type cannot be used.
    """
    data = config.data
    split_column = None if data.split.by == "time" else data.split.column or manifest.own_split
    ids_from = id_column(data, manifest)
    required = dict.fromkeys(filter(None, [ids_from, *config.targets, data.split.group, split_column]))
    audit_columns = _audit_columns(config, manifest)
    guesses = _first_guesses(config, manifest)
    columns, count, unreadable = _read_columns(
        config, manifest, [*dict.fromkeys([*required, *audit_columns])], required, guesses
    )
    readings = _readings(config, guesses, manifest.decimal)
    for column, words in columns.items():
        section = config.targets.get(column)
        if section is None:
            empty = (
                frozenset() if column == ids_from else empty_words(data.columns.get(column, ColumnConfig()))
            )
            spelling = replace(guess_spelling(words), empty=empty)
            columns[column] = _spelled(words, spelling)
            if column == ids_from and _merges(words, columns[column]):  # 1.1 and 1.10 may be two chapters
                columns[column] = words
        else:
            readings[column], columns[column] = _read_target(
                section, words, readings.get(column), data.columns
            )
    ids = columns[ids_from] if ids_from else Column.of(str(row) for row in range(count))
    given = columns[split_column] if split_column else None
    check_keys(ids, given, manifest.name)
    splits = None if given is None else [str(normal_split(split)) for split in given]
    has_label = np.fromiter((split != UNLABELLED for split in splits or ()), bool)
    no_groups = Column(pa.chunked_array([pa.nulls(count, pa.string())]))
    return Keys(
        ids=ids,
        named=ids_from is not None,
        targets={
            column: columns[column] if splits is None else _only(columns[column], has_label)
            for column in config.targets
        },
        groups=columns[data.split.group] if data.split.group else no_groups,
        splits=splits,
        audit_groups={column: columns[column] for column in audit_columns},
        unreadable=unreadable,
        readings=readings,
    )


def _only(cells: Column, rows: np.ndarray) -> Column:
    """Empty the cells of all other rows."""
    return (
        cells
        if rows.all()
        else Column(pc.if_else(pa.array(rows), cells.values, pa.scalar(None, pa.string())))
    )


def id_column(data: DataConfig, manifest: Manifest) -> str | None:
    """Return the column that names the rows; None where they are numbered."""
    return data.id if data.id in manifest.columns else None


def _guesses(config: PipelineConfig) -> dict[str, SpellingGuess | TableGuess]:
    """Make a guess for each column of text, of tables and of numbers that are targets."""
    guesses: dict[str, SpellingGuess | TableGuess] = {}
    wanted: dict[str, Wanted | None] = {
        column: "numeric" for column, target in config.targets.items() if isinstance(target, RegressionTarget)
    }
    for section in config.inputs.values():
        for column in section.columns if isinstance(section, TextInput | TabularInput) else ():
            kind = section.types.get(column) if isinstance(section, TabularInput) else "text"
            if kind is None or kind == "numeric" or kind == "datetime":
                wanted[column] = kind
            else:
                guesses[column] = SpellingGuess()
    options = config.data.columns
    for column, kind in wanted.items():
        guesses[column] = TableGuess(column, kind, options.get(column, ColumnConfig()))
    return guesses


def _first_guesses(config: PipelineConfig, manifest: Manifest) -> dict[str, SpellingGuess | TableGuess]:
    """Guess kinds of columns by the first rows, which show most columns of words; the rest begin anew."""
    guesses, first = _guesses(config), _guesses(config)
    cells = next(iter(manifest.batches(list(guesses))), {}) if guesses else {}
    for column, guess in first.items():
        if not guess.add(cells.get(column, ())).is_open:
            guesses[column] = guess
    return guesses


def _readings(
    config: PipelineConfig, guesses: dict[str, SpellingGuess | TableGuess], decimal: Mark
) -> dict[str, Reading]:
    """Read the columns of the inputs and the numbers that are targets.

    A column of numbers that do not tell their decimal mark has that of the other columns, if these agree.
    """
    tables = [guess for guess in guesses.values() if isinstance(guess, TableGuess)]
    marks = {guess.mark for guess in tables if guess.mark is not None}
    usual = marks.pop() if len(marks) == 1 else decimal
    readings: dict[str, Reading] = {}
    for section in config.inputs.values():
        for column in section.columns:
            guess = guesses.get(column)
            if isinstance(guess, TableGuess):
                continue
            spelling = Spelling() if guess is None else guess.spelling
            empty = empty_words(config.data.columns.get(column, ColumnConfig()))
            readings[column] = Reading(replace(spelling, empty=empty))
    return readings | {guess.name: guess.reading(usual) for guess in tables}


def _read_target(
    section: TargetConfig, words: Column, reading: Reading | None, options: Mapping[str, ColumnConfig]
) -> tuple[Reading, Column]:
    """Spell the cells of a target."""
    column = section.column
    words_of_options = (
        {section.none}
        if isinstance(section, MultilabelTarget)
        else set(getattr(section, "order", None) or ())
    )
    empty = empty_words(options.get(column, ColumnConfig())) - words_of_options
    filled = _spelled(words, Spelling(empty=empty))
    findings: tuple[str, ...] = reading.findings if reading else ()
    if lost := filled.values.null_count - words.values.null_count:
        word = next(word for word in words if word is not None and word in empty)
        findings += (
            f"{column}: {lost} cells such as {word!r} stand for an empty cell (to keep them as words: "
            f"data.columns.{column}.empty)",
        )
        logger.warning("%s", findings[-1])
    if isinstance(section, MultilabelTarget):
        spelling, cells = _spell_labels(filled, section)
    else:
        spelling = replace(reading.spelling if reading else guess_spelling(filled), empty=empty)
        cells = _spelled(filled, spelling)
    return Reading(replace(spelling, empty=empty), findings), cells


def _spelled(words: Column, spelling: Spelling) -> Column:
    """Spell the words of a column, each distinct one once; one that is not what the column holds stays."""
    if spelling.kind in ("word", "moment"):
        empty = pa.array(sorted(spelling.empty), pa.string())
        is_empty = pc.is_in(words.values, value_set=empty)
        none = pa.scalar(None, pa.string())
        return Column(pc.if_else(is_empty, none, words.values)) if pc.any(is_empty).as_py() else words

    def name(word: str) -> str | None:
        try:
            return spelling.name(word)
        except UnusableCellError:
            return word

    encoded = words.values.combine_chunks().dictionary_encode()
    names = pa.array([name(word) for word in encoded.dictionary.to_pylist()], pa.string())
    return Column(pa.chunked_array([names.take(encoded.indices)]))


def _spell_labels(cells: Column, section: MultilabelTarget) -> tuple[Spelling, Column]:
    """Spell the labels within the cells; the labels of all cells together are the column."""
    distinct = {
        cell: split_labels(cell, section.separator, section.none) for cell in set(cells) if cell is not None
    }
    spelling = guess_spelling(label for labels in distinct.values() for label in labels)
    if spelling.kind in ("word", "moment"):
        return spelling, cells
    joined = {
        cell: section.separator.join(str(spelling.name(label)) for label in labels) or section.none
        for cell, labels in distinct.items()
    }
    return spelling, Column.of(None if cell is None else joined[cell] for cell in cells)


def _merges(words: Column, names: Column) -> bool:
    """Return True if two different words have one name."""
    if names is words:
        return False
    distinct_words, distinct_names = (pc.count_distinct(each.values).as_py() for each in (words, names))
    return distinct_names < distinct_words


def _read_columns(
    config: PipelineConfig,
    manifest: Manifest,
    names: list[str],
    required: dict[str, None],
    guesses: dict[str, SpellingGuess | TableGuess],
) -> tuple[dict[str, Column], int, list[tuple[int, str]]]:
    """Read columns as text.

    Args:
        config: Pipeline configuration.
        manifest: Table to read.
        names: Columns to read.
        required: Columns in which a cell that cannot be read stops the run, unless it is a target.
        guesses: Kinds of columns of inputs, which learn from the same rows.

    Returns:
        The columns by name; the number of rows; row and reason of each unreadable target.
    """
    unreadable: list[tuple[int, str]] = []
    chunk: dict[str, list[str | None]] = {column: [] for column in names}
    arrays: dict[str, list[pa.Array]] = {column: [] for column in names}

    def close_chunk() -> None:
        for column, cells in chunk.items():
            arrays[column].append(pa.array(cells, pa.string()))
            cells.clear()

    count = 0
    undecided = [column for column, guess in guesses.items() if guess.is_open]
    for batch in manifest.batches([*dict.fromkeys([*names, *undecided])]):
        for column in undecided:
            guesses[column].add(batch[column])
        for column, cells in chunk.items():
            texts, faults = cells_as_text(
                batch[column], word_of, manifest.name, column, count, "text or a number"
            )
            cells += texts
            if column in config.targets:
                unreadable += [(row, f"target {column}: {reason}") for row, reason in faults]
            elif faults and column in required:
                row, reason = faults[0]
                raise DataError(f"{manifest.name}, column {column!r}, row {row}: {reason}")
        count += len(batch[names[0]])
        if len(chunk[names[0]]) >= _ROWS:
            close_chunk()
    close_chunk()
    return {name: Column(pa.chunked_array(arrays[name], pa.string())) for name in names}, count, unreadable


def _audit_columns(config: PipelineConfig, manifest: Manifest) -> list[str]:
    """Return columns of groups that may be split, as configured or recognised by their names."""
    options = config.audit
    if not options.rows or config.data.split.group is not None:
        return []
    if options.groups is not None:
        return [column for column in dict.fromkeys(options.groups) if column not in config.targets]
    used = {column for section in config.inputs.values() for column in section.columns}
    used |= {*config.targets, str(config.data.id), str(config.data.split.column or manifest.own_split)}
    return [column for column in manifest.columns if column not in used and looks_like_group(column)]


def check_targets(config: PipelineConfig, keys: Keys, quarantine: Quarantine) -> None:
    """Put each row into quarantine that has a target which cannot be read.

    Args:
        config: Pipeline configuration.
        keys: Keys of all rows.
        quarantine: Collection that receives each fault.
    """

    def add_fault(row: int, reason: str) -> None:
        quarantine.add(str(keys.ids[row]), "row", None, reason, row)

    for row, reason in keys.unreadable:
        add_fault(row, reason)
    for row, cells in enumerate(zip(*keys.targets.values(), strict=True)):
        for (name, section), cell in zip(config.targets.items(), cells, strict=True):
            fault = unusable_target(section, cell)
            if fault is not None:
                add_fault(row, f"target {name}: {fault}")


_GROUPS = {
    "speaker", "patient", "subject", "participant", "person", "user", "customer", "client", "author",
    "writer", "reader", "session", "site", "hospital", "clinic", "device", "camera", "scene", "video",
    "recording", "family", "household", "donor", "animal", "plant", "station", "group",
}  # fmt: skip


def looks_like_group(column: str) -> bool:
    """Return True if a column is named like people, places or occasions that give several rows."""
    return any(word.rstrip("s") in _GROUPS for word in re.split(r"[^a-z]+", column.lower()))
