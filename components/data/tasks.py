"""Tasks of targets whose pipeline file gives none, guessed from their cells."""

import logging
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from pydantic import ValidationError

from components.config.data import ColumnConfig
from components.config.pipeline import PipelineConfig
from components.config.targets import RegressionTarget, TargetConfig
from components.data.cells import cells_as_text, word_of
from components.data.guess import TableGuess
from components.data.sources.manifest import Manifest
from components.data.spelling import plain_number
from components.data.times import open_known
from components.errors import DataError

logger = logging.getLogger(__name__)

MANY = 20
"""More values than so many are no classes of their own, if they are numbers."""
_ROWS_PER_CLASS = 5


def is_given(target: TargetConfig) -> bool:
    """Return True if the pipeline file gives the task, or an option that belongs to one."""
    return bool(target.model_fields_set - {"column"})


def settle_tasks(config: PipelineConfig, folder: Path, base: Path) -> PipelineConfig:
    """Give each target that has no task the one that its column suggests, and say so.

    Args:
        config: Pipeline configuration.
        folder, base: As for :func:`components.data.ingest.ingest`, which also says what cannot be read.
    """
    return with_regression(config, measured_targets(config, folder, base))


def measured_targets(config: PipelineConfig, folder: Path, base: Path) -> dict[str, int]:
    """Find targets without a task that measure something; return their numbers of values by column.

    See :func:`settle_tasks` for the arguments.
    """
    open_targets = [target.column for target in config.targets.values() if not is_given(target)]
    if config.promotion.metric is not None and config.target.column in open_targets:
        open_targets.remove(config.target.column)  # its metric is one of classes
    if not open_targets:
        return {}
    try:
        manifest = open_known(config.data, open_targets, folder, base)
        numbers = columns_of_numbers(manifest, config.data.columns, open_targets)
    except DataError:
        return {}
    for column, count in numbers.items():
        logger.warning(
            "target %r has %d different numbers, so its task is regression; give target.task to change it",
            column,
            count,
        )
    return numbers


def with_regression(config: PipelineConfig, columns: Container[str]) -> PipelineConfig:
    """Give the targets of these columns the task regression; the same configuration where none is one."""
    if not any(target.column in columns for target in config.targets.values()):
        return config
    values = config.model_dump(mode="json", exclude_unset=True)
    values["target"] = _settled(config.target, columns)
    values["further_targets"] = [_settled(target, columns) for target in config.further_targets]
    try:
        return PipelineConfig.model_validate(values)
    except ValidationError:  # another option needs classes
        return config


def _settled(target: TargetConfig, columns: Container[str]) -> TargetConfig:
    if target.column not in columns:
        return target
    return RegressionTarget(task="regression", column=target.column)


def columns_of_numbers(
    manifest: Manifest, options: Mapping[str, ColumnConfig], columns: Sequence[str]
) -> dict[str, int]:
    """Find the columns that hold measured numbers, with how many different ones."""
    known = [column for column in columns if column in manifest.columns]
    guesses = {column: TableGuess(column, None, options.get(column, ColumnConfig())) for column in known}
    words: dict[str, Counter[str | None]] = {column: Counter() for column in known}
    for batch in manifest.batches(known) if known else ():
        for column, guess in guesses.items():
            guess.add(batch[column])
            words[column].update(cells_as_text(batch[column], word_of, manifest.name, column, 0, "text")[0])
    counts = {}
    for column, guess in guesses.items():
        reading = guess.reading(manifest.decimal)
        if reading.spelling.kind == "number" and not reading.is_code:
            names = Counter(
                {word: n for word, n in words[column].items() if word and not reading.spelling.is_empty(word)}
            )
            if measures(names):
                counts[column] = len(names)
    return counts


def measures(cells: Mapping[str, int]) -> bool:
    """Return True for numbers that measure something, so that each is no class.

    They are more than twenty; class numbers, which run on from 0 or 1 with several rows each, are not.

    Args:
        cells: Number of rows by word.
    """
    if len(cells) <= MANY:
        return False
    whole = sorted(int(name) for name in map(plain_number, cells) if name is not None and name.isdecimal())
    run = len(whole) == len(cells) and whole[0] <= 1 and all(b - a == 1 for a, b in pairwise(whole))
    return not (run and sum(cells.values()) >= _ROWS_PER_CLASS * len(cells))
