"""What must hold of a manifest before anything is learned from it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from components.config.inputs import TabularInput
from components.config.pipeline import PipelineConfig
from components.data.sources.manifest import Manifest
from components.data.splits import SPLITS, normal_split
from components.errors import DataError, nearest

logger = logging.getLogger(__name__)

_SHOWN = 5

KEYS = pa.DataFrameSchema(
    {
        "id": pa.Column(object, [pa.Check(lambda ids: ~ids.duplicated(), name="unique")], nullable=False),
        "split": pa.Column(
            object,
            [
                pa.Check(
                    lambda splits: splits.map(lambda split: normal_split(split) is not None),
                    name="known split",
                )
            ],
            nullable=False,
        ),
    }
)
"""Schema of the columns that name rows; ``split`` as the source spells it."""


def check_columns(config: PipelineConfig, manifest: Manifest) -> None:
    """Every column that the configuration names is there, and no input reads the target.

    Raises:
        DataError: With a line for each column that is not.
    """
    split = config.data.split
    targets = config.targets
    named = [
        (f"further_targets.{number - 1}.column" if number else "target.column", column, "label")
        for number, column in enumerate(targets)
    ]
    if config.data.id is not None and not (manifest.numbered and config.data.id == "id"):
        named.append(("data.id", config.data.id, "id"))
    if split.column is not None:
        named.append(("data.split.column", split.column, "split"))
    if split.group is not None:
        named.append(("data.split.group", split.group, "group"))
    groups = config.audit.groups or ()
    named += [(f"audit.groups.{number}", column, "speaker") for number, column in enumerate(groups)]
    lines = []
    for name, section in config.inputs.items():
        named += [(f"inputs.{name}.columns", column, section.modality) for column in section.columns]
        lines += [
            f"inputs.{name}.columns: {column!r} is a target; an input cannot read it"
            for column in targets
            if column in section.columns
        ]
        if isinstance(section, TabularInput):
            lines += _check_table(name, section)
    known = manifest.columns
    for place, column, usual in named:
        if column not in known:
            hint = nearest(column, known) or nearest(usual, known)
            lines.append(
                f"{place}: {column!r} is not a column of {manifest.name} (has: {_listed(known, 30)}).{hint}"
            )
    if lines:
        raise DataError("\n".join(lines))


def check_keys(ids: Sequence[str | None], splits: Sequence[str | None] | None, name: str) -> None:
    """Ids are there and unique; splits are train, val, test or a synonym. Rows are counted from 0.

    Args:
        ids: Ids.
        splits: Splits as the source spells them; None where they are to be drawn.
        name: What to call the manifest.

    Raises:
        DataError: Naming the first ids, values and rows at fault.
    """
    if not ids:
        raise DataError(f"{name}: has columns but no rows")
    if _plainly_right(ids, splits):
        return
    frame = pd.DataFrame({"id": list(ids), "split": list(splits or ["train"] * len(ids))}, dtype=object)
    try:
        KEYS.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        lines = []
        for (column, check), found in cases.groupby(["column", "check"], sort=False):
            rows = sorted({int(row) for row in found["index"]})
            lines.append(f"{name}: {_key_fault(frame, str(column), str(check), rows)}")
        raise DataError("\n".join(dict.fromkeys(lines))) from error


def _plainly_right(ids: Sequence[str | None], splits: Sequence[str | None] | None) -> bool:
    """Whether all is well, told by hashes of eight bytes; a false no costs time and memory, no more."""
    known = splits is None or all(normal_split(split) is not None for split in splits)
    if not known or None in ids:
        return False
    hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
    hashes.sort()
    return bool((hashes[1:] != hashes[:-1]).all())


def check_splits(splits: Sequence[str], name: str) -> None:
    """No split is empty.

    Raises:
        DataError: Naming those that are.
    """
    rows = Counter(splits)
    gone = [split for split in SPLITS if not rows[split]]
    if gone:
        found = ", ".join(f"{split} {rows[split]}" for split in SPLITS)
        raise DataError(
            f"{name}: no usable rows in {' and '.join(gone)} (rows: {found}). Every split needs some: mark "
            "them in the split column, or leave data.split.column out to draw them by fraction."
        )


def check_labels(
    splits: Sequence[str], labels: Sequence[str | None], before: Iterable[str], name: str
) -> tuple[str, ...]:
    """No class has gone, train has two classes or more, and knows every label of val and test.

    Args:
        splits: Split of each usable row.
        labels: Label of each usable row; None where it has none.
        before: Labels of all rows of the source, usable or not.
        name: What to call the manifest.

    Returns:
        Labels of the training rows, sorted; by value if all are numbers.

    Raises:
        DataError: Naming the label.
    """
    lost = sorted(set(before) - set(labels))
    if lost:
        labels_lost = _listed([repr(label) for label in lost])
        raise DataError(f"{name}: nothing is left of class {labels_lost}: all its rows are in quarantine")
    found = {
        split: Counter(t for s, t in zip(splits, labels, strict=True) if s == split and t is not None)
        for split in SPLITS
    }
    for split in ("val", "test"):
        unknown = sorted(set(found[split]) - set(found["train"]))
        if unknown:
            counts = _listed([f"{label!r} ({found[split][label]} rows)" for label in unknown])
            raise DataError(
                f"{name}: {split} has labels that train has not: {counts}. A model cannot learn them: add "
                "training rows with these labels, or take the rows out."
            )
        absent = sorted(set(found["train"]) - set(found[split]))
        if absent:
            logger.warning(
                "%s: %s has no rows of class %s: what is measured there says nothing of it",
                name, split, _listed([repr(label) for label in absent]),
            )  # fmt: skip
    if len(found["train"]) < 2:
        only = ", ".join(map(repr, found["train"])) or "none"
        raise DataError(f"{name}: all training rows have the label {only}; classification needs two or more")
    return sorted_labels(found["train"])


def sorted_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels by value if all are numbers, else by their letters."""
    labels = set(labels)
    try:
        return tuple(sorted(labels, key=lambda label: (float(label), label)))
    except ValueError:
        return tuple(sorted(labels))


def _check_table(name: str, section: TabularInput) -> list[str]:
    lines = [
        f"inputs.{name}.types: {column!r} is not among its columns ({_listed(section.columns)})."
        f"{nearest(column, section.columns)}"
        for column in section.types
        if column not in section.columns
    ]
    if "digest" in section.columns:
        lines.append(f"inputs.{name}.columns: a column of a table cannot be called 'digest'; rename it")
    return lines


def _key_fault(frame: pd.DataFrame, column: str, check: str, rows: list[int]) -> str:
    where = f"rows {_listed(rows)} (the first row is 0)"
    if check == "not_nullable":
        empty = (
            "a row needs an id: fill it in, or set data.id: null to number the rows"
            if column == "id"
            else ("expected train, val or test")
        )
        return f"column for {column!r} is empty in {len(rows)} rows: {where}; {empty}"
    values = frame[column].iloc[rows]
    if column == "split":
        found = _listed(
            [f"{value!r} ({number} rows)" for value, number in Counter(values.dropna()).most_common()]
        )
        return f"unknown splits {found} in {where}; expected train, val (valid, validation, dev) or test"
    twice = frame.index[frame[column].isin(values)].to_series().groupby(frame[column])
    named = [f"{name!r} in rows {_listed(list(places))}" for name, places in list(twice)[:_SHOWN]]
    more = f" and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""
    return (
        f"{len(twice)} ids stand more than once: {'; '.join(named)}{more} (the first row is 0). "
        "Make them unique, or set data.id: null to number the rows."
    )


def _listed(items: Sequence[object], most: int = _SHOWN) -> str:
    more = f", ... {len(items) - most} more" if len(items) > most else ""
    return ", ".join(str(item) for item in items[:most]) + more
