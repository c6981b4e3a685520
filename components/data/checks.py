"""Checks of a manifest's columns, ids, splits and labels, before anything is learned from it."""

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
"""Schema of ids and splits, the splits as the source spells them."""


def check_columns(config: PipelineConfig, manifest: Manifest) -> None:
    """Check that every column of the configuration exists, and that no input reads a target.

    Raises:
        DataError: If one does not hold, with a line per column at fault.
    """
    split = config.data.split
    targets = config.targets
    # Each option that names a column, the column, and the usual name of such a column for the hint.
    required = [
        (f"further_targets.{number - 1}.column" if number else "target.column", column, "label")
        for number, column in enumerate(targets)
    ]
    if config.data.id is not None and not (manifest.numbered and config.data.id == "id"):
        required.append(("data.id", config.data.id, "id"))
    if split.column is not None:
        required.append(("data.split.column", split.column, "split"))
    if config.data.time is not None:
        required.append(("data.time", config.data.time, "date"))
    if config.data.labelled_at is not None:
        required.append(("data.labelled_at", config.data.labelled_at, "labelled_at"))
    if split.group is not None:
        required.append(("data.split.group", split.group, "group"))
    groups = config.audit.groups or ()
    required += [(f"audit.groups.{number}", column, "speaker") for number, column in enumerate(groups)]
    lines = []
    for name, section in config.inputs.items():
        required += [(f"inputs.{name}.columns", column, section.modality) for column in section.columns]
        lines += [
            f"inputs.{name}.columns: {column!r} is a target; an input cannot read it"
            for column in targets
            if column in section.columns
        ]
        if isinstance(section, TabularInput):
            lines += _check_table(name, section)
    known = manifest.columns
    for option, column, usual in required:
        if column not in known:
            hint = nearest(column, known) or nearest(usual, known)
            lines.append(
                f"{option}: {column!r} is not a column of {manifest.name} (has: {_listed(known, 30)}).{hint}"
            )
    if lines:
        raise DataError("\n".join(lines))


def check_keys(ids: Sequence[str | None], splits: Sequence[str | None] | None, name: str) -> None:
    """Check that ids are unique, that none is empty, and that splits are known ones.

    Args:
        splits: Split of each row as the source spells it; None where braid draws them.
        name: Name of the manifest, for messages.

    Raises:
        DataError: If one does not hold; the message gives the first ids, values and rows, counted from 0.
    """
    if not ids:
        raise DataError(f"{name}: has columns but no rows")
    if _pass_quick_check(ids, splits):
        return
    frame = pd.DataFrame({"id": list(ids), "split": list(splits or ["train"] * len(ids))}, dtype=object)
    try:
        KEYS.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        lines = []
        for (column, check), group in cases.groupby(["column", "check"], sort=False):
            rows = sorted({int(row) for row in group["index"]})
            lines.append(f"{name}: {_key_fault(frame, str(column), str(check), rows)}")
        raise DataError("\n".join(dict.fromkeys(lines))) from error


def _pass_quick_check(ids: Sequence[str | None], splits: Sequence[str | None] | None) -> bool:
    """Return True if the keys are right; by hashes of eight bytes, which take little memory.

    Two ids with one hash give False; the full check then finds them right.
    """
    known = splits is None or all(normal_split(split) is not None for split in splits)
    if not known or None in ids:
        return False
    hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
    hashes.sort()
    return bool((hashes[1:] != hashes[:-1]).all())


def check_splits(splits: Sequence[str], name: str) -> None:
    """Check that no split is empty.

    Args:
        splits: Split of each usable row.
        name: Name of the manifest, for messages.

    Raises:
        DataError: If one is empty.
    """
    rows = Counter(splits)
    empty = [split for split in SPLITS if not rows[split]]
    if empty:
        counts = ", ".join(f"{split} {rows[split]}" for split in SPLITS)
        raise DataError(
            f"{name}: no usable rows with a target in {' and '.join(empty)} (rows: {counts}). Every split "
            "needs some: mark them in the split column, or leave data.split.column out to draw them by "
            "fraction."
        )


def check_labels(
    splits: Sequence[str], labels: Sequence[str | None], before: Iterable[str], name: str
) -> tuple[str, ...]:
    """Check that training rows have at least two classes, and every label of val and test.

    Args:
        splits: Split of each usable row.
        labels: Label of each usable row; None where it has none.
        before: Labels of all rows of the source, usable or not.
        name: Name of the manifest, for messages.

    Returns:
        Labels of the training rows, sorted as by :func:`sorted_labels`.

    Raises:
        DataError: If one does not hold, or all rows of a class are in quarantine.
    """
    lost = sorted(set(before) - set(labels))
    if lost:
        labels_lost = _listed([repr(label) for label in lost])
        raise DataError(
            f"{name}: nothing is left of class {labels_lost}: all its rows are in quarantine. Correct the "
            "rows, or remove them from the manifest."
        )
    rows = {
        split: Counter(t for s, t in zip(splits, labels, strict=True) if s == split and t is not None)
        for split in SPLITS
    }
    for split in ("val", "test"):
        unknown = sorted(set(rows[split]) - set(rows["train"]))
        if unknown:
            counts = _listed([f"{label!r} ({rows[split][label]} rows)" for label in unknown])
            raise DataError(
                f"{name}: {split} has labels that train has not: {counts}. A model cannot learn them: add "
                "training rows with these labels, or remove the rows."
            )
        absent = sorted(set(rows["train"]) - set(rows[split]))
        if absent:
            logger.warning(
                "%s: %s has no rows of class %s: metrics of this split do not cover it",
                name, split, _listed([repr(label) for label in absent]),
            )  # fmt: skip
    if len(rows["train"]) < 2:
        only = ", ".join(map(repr, rows["train"])) or "none"
        raise DataError(f"{name}: all training rows have the label {only}; classification needs two or more")
    return sorted_labels(rows["train"])


def sorted_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels, sorted by value if all are numbers, else as text."""
    labels = set(labels)
    try:
        return tuple(sorted(labels, key=lambda label: (float(label), label)))
    except ValueError:
        return tuple(sorted(labels))


def _check_table(name: str, section: TabularInput) -> list[str]:
    """Return a message per fault in the columns and types of a tabular input."""
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
    """Return the message for the rows in which a check of :data:`KEYS` fails."""
    in_rows = f"rows {_listed(rows)} (the first row is 0)"
    if check == "not_nullable":
        empty = (
            "a row needs an id: fill it in, or set data.id: null to number the rows"
            if column == "id"
            else ("expected train, val or test")
        )
        return f"column for {column!r} is empty in {len(rows)} rows: {in_rows}; {empty}"
    values = frame[column].iloc[rows]
    if column == "split":
        unknown = _listed(
            [f"{value!r} ({number} rows)" for value, number in Counter(values.dropna()).most_common()]
        )
        return (
            f"unknown splits {unknown} in {in_rows}; expected train, val (valid, validation, dev), test or "
            "unlabelled"
        )
    duplicates = frame.index[frame[column].isin(values)].to_series().groupby(frame[column])
    examples = [f"{name!r} in rows {_listed(list(index))}" for name, index in list(duplicates)[:_SHOWN]]
    more = f" and {len(duplicates) - _SHOWN} more" if len(duplicates) > _SHOWN else ""
    return (
        f"{len(duplicates)} ids occur more than once: {'; '.join(examples)}{more} (the first row is 0). "
        "Make them unique, or set data.id: null to number the rows."
    )


def _listed(items: Sequence[object], most: int = _SHOWN) -> str:
    """Join the first items by commas, with the number of the others."""
    more = f", ... {len(items) - most} more" if len(items) > most else ""
    return ", ".join(str(item) for item in items[:most]) + more
