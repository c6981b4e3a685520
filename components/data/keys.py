"""The columns that say what a row is: id, targets, group, split. Read before the rest, which takes longer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from components.config.pipeline import PipelineConfig
from components.data.cells import unusable, word_of
from components.data.checks import check_keys
from components.data.manifest import Manifest
from components.data.quarantine import Quarantine
from components.data.splits import normal_split
from components.data.targets import unusable_target
from components.storage.column import Column

_ROWS = 4096  # held as Python's objects


@dataclass(frozen=True)
class Keys:
    """Keys of all rows of a source, in its order.

    Attributes:
        ids: Unique names.
        targets: Cells by column.
        groups: Cells; all None where rows are not grouped.
        splits: ``train``, ``val`` or ``test``; None where they are to be drawn.
    """

    ids: Column
    targets: dict[str, Column]
    groups: Column
    splits: list[str] | None

    def __len__(self) -> int:
        return len(self.ids)


def read_keys(config: PipelineConfig, manifest: Manifest) -> Keys:
    """Read and check them.

    Raises:
        DataError: If ids are not unique, a split is none, or a cell is of a type that cannot be used.
    """
    data = config.data
    split_column = data.split.column or manifest.own_split
    id_column = data.id if data.id in manifest.columns else None
    wanted = list(dict.fromkeys(filter(None, [id_column, *config.targets, data.split.group, split_column])))
    held: dict[str, list[str | None]] = {column: [] for column in wanted}
    parts: dict[str, list[pa.Array]] = {column: [] for column in wanted}

    def put_away() -> None:
        for column, cells in held.items():
            parts[column].append(pa.array(cells, pa.string()))
            cells.clear()

    count = 0
    for batch in manifest.batches(wanted):
        for column, cells in held.items():
            cells += convert(batch[column], word_of, manifest.name, column, count, "text or a number")
        count += len(batch[wanted[0]])
        if len(held[wanted[0]]) >= _ROWS:
            put_away()
    put_away()
    columns = {name: Column(pa.chunked_array(arrays, pa.string())) for name, arrays in parts.items()}
    ids = columns[id_column] if id_column else Column.of(str(row) for row in range(count))
    splits = columns[split_column] if split_column else None
    check_keys(ids, splits, manifest.name)
    return Keys(
        ids=ids,
        targets={column: columns[column] for column in config.targets},
        groups=columns[data.split.group]
        if data.split.group
        else Column(pa.chunked_array([pa.nulls(count, pa.string())])),
        splits=None if splits is None else [str(normal_split(split)) for split in splits],
    )


def check_targets(config: PipelineConfig, keys: Keys, quarantine: Quarantine) -> None:
    """Rows with no target at all, or with one that cannot be read, go to quarantine."""
    for row, cells in enumerate(zip(*keys.targets.values(), strict=True)):
        if not any(cells):
            empty = " and ".join(config.targets)
            quarantine.add(str(keys.ids[row]), "row", None, f"no target ({empty} is empty)", row)
        for (name, section), cell in zip(config.targets.items(), cells, strict=True):
            reason = unusable_target(section, cell)
            if reason is not None:
                quarantine.add(str(keys.ids[row]), "row", None, f"target {name}: {reason}", row)


def convert(
    values: list[Any], convert: Callable[[Any], str | None], name: str, column: str, first: int, kind: str
) -> list[str | None]:
    """Some cells of a column, of whatever type the source has, as text.

    Args:
        values: The cells.
        convert: Makes text of one.
        name: What to call the manifest.
        column: Of the manifest.
        first: Row of the first cell.
        kind: What the column should hold.

    Raises:
        DataError: If one is of a type that cannot be used.
    """
    cells: list[str | None] = []
    for value in values:
        try:
            cells.append(convert(value))
        except TypeError as error:
            raise unusable(error, name, column, first + len(cells), kind) from error
    return cells
