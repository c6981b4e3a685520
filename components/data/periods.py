"""Division of rows by their time: the newest are the test, those before them validation, the rest train.

With every newer row the borders move on, so a row goes from test to validation to train, and never back. A
model that learned from a row does not meet it in a test again.

A group that crosses a border stays where its newest row is; its older rows are left out. So no group is on
both sides, and the test has new rows alone. See ADR 037.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.config.data import SplitConfig
from components.config.durations import seconds
from components.data.splits import SPLITS
from components.data.times import Seconds, shown
from components.errors import DataError

GAP, GROUP, WINDOW, LATER = "gap", "group", "window", "later"
LEFT_OUT = (GAP, GROUP, WINDOW)
"""Reasons for which a usable row is in no split: between two of them; of a group with newer rows; too old."""


def divide(at: Seconds, groups: Sequence[str | None], config: SplitConfig) -> list[str]:
    """Return the split of each labelled row, or the reason why it is left out.

    Args:
        at: (N,) seconds since 1970.
        groups: Group of each row; a row with None is a group of its own.
        config: Lengths of validation, test and the gap before each.

    Raises:
        DataError: If a split gets no row.
    """
    if not len(at):
        raise DataError("data.split: no row has a time and a target")
    gap, newest = seconds(config.gap), float(at.max())
    test_start = _start(at, config.test, newest, len(at))
    before_test = at[at < test_start - gap]
    end = min(newest, float(np.nextafter(test_start - gap, -math.inf)))
    val_start = _start(before_test, config.val, end, len(at))
    splits = np.full(len(at), GAP, dtype="<U6")
    splits[at >= test_start] = "test"
    splits[(at >= val_start) & (at <= end)] = "val"
    splits[at < val_start - gap] = "train"
    if config.group is not None:
        _keep_groups_whole(splits, groups)
    if lacking := [split for split in SPLITS if not (splits == split).any()]:
        raise DataError(
            f"data.split: by time leaves no row for {' and '.join(lacking)}. The labelled rows are of "
            f"{shown(at.min())} to {shown(newest)}; the test begins at {shown(test_start, precise=True)}, "
            f"validation at {shown(val_start, precise=True)}. Change "
            "data.split.test, data.split.val or data.split.gap."
        )
    return splits.tolist()


def periods(at: Seconds, splits: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Find the first and the last time of the rows of each split, in UTC."""
    of = np.array(splits)
    ends = {split: (at[of == split].min(), at[of == split].max()) for split in np.unique(of).tolist()}
    return {
        split: (shown(first, precise=True), shown(last, precise=True))
        for split, (first, last) in ends.items()
    }


def _start(at: Seconds, part: float | str, end: float, rows: int) -> float:
    """Find the time from which on rows belong to a part that ends with ``end``.

    Rows of one time are on one side, so a fraction may get more of them than it asks for.

    Args:
        at: (n,) times of the rows up to the end.
        part: Period, or fraction of all rows.
        end: Last time of the part.
        rows: Number of all rows.
    """
    if isinstance(part, str):
        return float(np.nextafter(end - seconds(part), math.inf))
    if not len(at):
        return end
    count = min(len(at), math.ceil(part * rows))
    return float(np.partition(at, len(at) - count)[len(at) - count])


def _keep_groups_whole(splits: NDArray[np.str_], groups: Sequence[str | None]) -> None:
    """Leave out the rows of each group that are older than its newest split, in place."""
    rank = {GAP: -1, **{split: number for number, split in enumerate(SPLITS)}}
    newest: dict[str, int] = {}
    ranks = [rank[split] for split in splits.tolist()]
    for group, own in zip(groups, ranks, strict=True):
        if group is not None:
            newest[group] = max(own, newest.get(group, -1))
    for row, (group, own) in enumerate(zip(groups, ranks, strict=True)):
        if group is not None and -1 < own < newest[group]:
            splits[row] = GROUP
