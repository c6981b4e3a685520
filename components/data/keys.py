"""The columns that say what a row is: id, targets, group, split. Read before the rest, which takes longer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from components.config.pipeline import PipelineConfig
from components.data.cells import UnusableCellError, unusable, word_of
from components.data.checks import check_keys
from components.data.labels import unusable_target
from components.data.quarantine import Quarantine
from components.data.sources.manifest import Manifest
from components.data.splits import normal_split
from components.errors import DataError
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
        watched: Cells of columns that nothing is learned from, for the audit.
        unreadable: Rows with a target that is not text, and the reason.
    """

    ids: Column
    targets: dict[str, Column]
    groups: Column
    splits: list[str] | None
    watched: dict[str, Column]
    unreadable: list[tuple[int, str]]

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
    keys = list(dict.fromkeys(filter(None, [id_column, *config.targets, data.split.group, split_column])))
    watched = _watched(config, manifest)
    wanted = list(dict.fromkeys([*keys, *watched]))
    unreadable: list[tuple[int, str]] = []
    held: dict[str, list[str | None]] = {column: [] for column in wanted}
    parts: dict[str, list[pa.Array]] = {column: [] for column in wanted}

    def put_away() -> None:
        for column, cells in held.items():
            parts[column].append(pa.array(cells, pa.string()))
            cells.clear()

    count = 0
    for batch in manifest.batches(wanted):
        for column, cells in held.items():
            made, bad = convert(batch[column], word_of, manifest.name, column, count, "text or a number")
            cells += made
            if column in config.targets:
                unreadable += [(row, f"target {column}: {reason}") for row, reason in bad]
            elif bad and column in keys:
                raise DataError(f"{manifest.name}, column {column!r}, row {bad[0][0]}: {bad[0][1]}")
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
        watched={column: columns[column] for column in watched},
        unreadable=unreadable,
    )


def _watched(config: PipelineConfig, manifest: Manifest) -> list[str]:
    """Columns of groups that may stand in two splits, as the configuration or their names say."""
    options = config.audit
    if not options.rows or config.data.split.group is not None:
        return []
    if options.groups is not None:
        return [column for column in dict.fromkeys(options.groups) if column not in config.targets]
    used = {column for section in config.inputs.values() for column in section.columns}
    used |= {*config.targets, str(config.data.id), str(config.data.split.column or manifest.own_split)}
    return [column for column in manifest.columns if column not in used and looks_like_group(column)]


def check_targets(config: PipelineConfig, keys: Keys, quarantine: Quarantine) -> None:
    """Rows with no target at all, or with one that cannot be read, go to quarantine."""
    for row, told_by in keys.unreadable:
        quarantine.add(str(keys.ids[row]), "row", None, told_by, row)
    told = {row for row, _ in keys.unreadable}
    for row, cells in enumerate(zip(*keys.targets.values(), strict=True)):
        if not any(cells) and row not in told:
            empty = " and ".join(config.targets)
            quarantine.add(str(keys.ids[row]), "row", None, f"no target ({empty} is empty)", row)
        for (name, section), cell in zip(config.targets.items(), cells, strict=True):
            reason = unusable_target(section, cell)
            if reason is not None:
                quarantine.add(str(keys.ids[row]), "row", None, f"target {name}: {reason}", row)


def convert(
    values: list[Any], convert: Callable[[Any], str | None], name: str, column: str, first: int, kind: str
) -> tuple[list[str | None], list[tuple[int, str]]]:
    """Some cells of a column, of whatever type the source has, as text.

    Args:
        values: The cells.
        convert: Makes text of one.
        name: What to call the manifest.
        column: Of the manifest.
        first: Row of the first cell.
        kind: What the column should hold.

    Returns:
        The texts; and the rows of those that cannot be used, with the reason.

    Raises:
        DataError: If one is of a type that cannot be used.
    """
    cells: list[str | None] = []
    bad: list[tuple[int, str]] = []
    for value in values:
        try:
            cells.append(convert(value))
        except UnusableCellError as error:
            bad.append((first + len(cells), str(error)))
            cells.append(None)
        except TypeError as error:
            raise unusable(error, name, column, first + len(cells), kind) from error
    return cells, bad


_GROUPS = frozenset(
    {
        "speaker",
        "patient",
        "subject",
        "participant",
        "person",
        "user",
        "customer",
        "client",
        "author",
        "writer",
    }
    | {"reader", "session", "site", "hospital", "clinic", "device", "camera", "scene", "video", "recording"}
    | {"family", "household", "donor", "animal", "plant", "station", "group"}
)


def looks_like_group(column: str) -> bool:
    """Whether a column is called like people, places or occasions that give several rows."""
    return any(word.rstrip("s") in _GROUPS for word in re.split(r"[^a-z]+", column.lower()))
