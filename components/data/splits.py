"""Division of rows into train, val and test: by a column, drawn by fraction, or by whole groups.

Draws go by the digest of the seed and a row's id, so they do not depend on the order of rows, and a
row that is added or lost moves few others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from components.config.data import SplitConfig
from components.errors import DataError
from components.storage.digest import digest

SPLITS = ("train", "val", "test")
_SYNONYMS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def normal_split(value: str | None) -> str | None:
    """``train``, ``val`` or ``test`` for the usual names of these; None for anything else."""
    return _SYNONYMS.get(value.strip().lower()) if value else None


def assign(
    given: Sequence[str | None] | None,
    ids: Sequence[str],
    strata: Sequence[str],
    groups: Sequence[str | None],
    config: SplitConfig,
    seed: int,
) -> list[str]:
    """Split of each row.

    Args:
        given: Normalised splits from a column; None draws all. Where the column has train and test
            but no val, val is drawn from its training rows.
        ids: Unique names.
        strata: Labels, or whatever else each split should have its share of.
        groups: Groups that stay whole; None is a group of its own.
        config: Fractions.
        seed: Of the draw.

    Raises:
        DataError: If there are fewer groups than splits, or a given group stands in two splits.
    """
    grouped = config.group is not None
    if given is None:
        fractions = {"train": 1 - config.val - config.test, "val": config.val, "test": config.test}
        return _draw(fractions, ids, strata, groups if grouped else None, config.stratify, seed)
    splits = [split or "train" for split in given]
    if grouped:
        _check_groups(splits, groups, str(config.group))
    if "val" not in splits and "train" in splits:
        rows = [row for row, split in enumerate(splits) if split == "train"]
        drawn = _draw(
            {"train": 1 - config.val, "val": config.val},
            [ids[row] for row in rows],
            [strata[row] for row in rows],
            [groups[row] for row in rows] if grouped else None,
            config.stratify,
            seed,
        )
        for row, split in zip(rows, drawn, strict=True):
            splits[row] = split
    return splits


def _draw(
    fractions: Mapping[str, float],
    ids: Sequence[str],
    targets: Sequence[str],
    groups: Sequence[str | None] | None,
    stratify: bool,
    seed: int,
) -> list[str]:
    strata = list(targets) if stratify else [""] * len(ids)
    if groups is None:
        splits = _draw_rows(fractions, ids, strata, seed)
        units = ids  # no list of them, which takes a hundred bytes a row
    else:
        units = [
            f"row {name}" if group is None else f"group {group}"
            for name, group in zip(ids, groups, strict=True)
        ]
        splits = _draw_groups(fractions, units, strata, seed)
    return _with_known_labels(splits, units, targets)


def _order(name: str, seed: int) -> int:
    """Place of a row or group in the draw: the first eight bytes of a digest, as a number."""
    return int(digest(str(seed), name)[:16], 16)


def _draw_rows(
    fractions: Mapping[str, float], ids: Sequence[str], strata: Sequence[str], seed: int
) -> list[str]:
    """Each stratum by its own quota: one row goes to train, two to train and test, more to every split."""
    order = np.fromiter((_order(name, seed) for name in ids), np.uint64, len(ids))
    numbers: dict[str, int] = {}
    stratum = np.fromiter((numbers.setdefault(name, len(numbers)) for name in strata), np.int32, len(ids))
    drawn = np.lexsort((order, stratum))  # a stratum after the other
    splits = ["train"] * len(ids)
    for rows in np.split(drawn, np.cumsum(np.bincount(stratum))[:-1]):
        start = 0
        for split, count in _quotas(fractions, len(rows)).items():
            for row in rows[start : start + count]:
                splits[row] = split
            start += count
    return splits


def _quotas(fractions: Mapping[str, float], rows: int) -> dict[str, int]:
    """Rows of a stratum for each split but train, which keeps the rest and at least one."""
    drawn = [split for split in ("test", "val") if split in fractions][: max(rows - 1, 0)]
    quotas = {split: max(1, round(fractions[split] * rows)) for split in drawn}
    while quotas and sum(quotas.values()) >= rows:
        quotas[max(quotas, key=lambda split: quotas[split])] -= 1
    return quotas


def _draw_groups(
    fractions: Mapping[str, float], units: Sequence[str], strata: Sequence[str], seed: int
) -> list[str]:
    """Largest group first, each to the split that still lacks most of what it holds."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for unit, stratum in zip(units, strata, strict=True):
        counts[unit][stratum] += 1
    if len(counts) < len(fractions):
        raise DataError(
            f"data.split.group: {len(counts)} groups ({', '.join(sorted(counts)[:5])}) cannot fill the "
            f"splits {', '.join(fractions)}. Choose a finer column, or give the split in a column."
        )
    total = Counter(strata)
    lacking = {
        split: {stratum: share * total[stratum] for stratum in total} for split, share in fractions.items()
    }
    empty = set(fractions)
    place: dict[str, str] = {}
    ordered = sorted(counts, key=lambda unit: (-counts[unit].total(), _order(unit, seed)))
    for left, unit in zip(range(len(ordered), 0, -1), ordered, strict=True):
        open_splits = (
            [split for split in fractions if split in empty] if left <= len(empty) else list(fractions)
        )

        def need(split: str, held: Counter[str] = counts[unit]) -> float:
            return sum(number * lacking[split][stratum] / total[stratum] for stratum, number in held.items())

        split = max(open_splits, key=need)
        place[unit] = split
        empty.discard(split)
        for stratum, number in counts[unit].items():
            lacking[split][stratum] -= number
    return [place[unit] for unit in units]


def _with_known_labels(splits: list[str], units: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Move the smallest unit with a label that train lacks to train, if its split keeps other rows."""
    known = {target for split, target in zip(splits, targets, strict=True) if split == "train"}
    if known.issuperset(targets):
        return splits
    sizes = Counter(units)
    while True:
        known = {target for split, target in zip(splits, targets, strict=True) if split == "train"}
        kept = Counter(splits)
        movable = [
            row
            for row, split in enumerate(splits)
            if split != "train" and targets[row] not in known and kept[split] > sizes[units[row]]
        ]
        if not movable:
            return splits
        unit = units[min(movable, key=lambda row: (sizes[units[row]], units[row]))]
        splits = ["train" if name == unit else split for name, split in zip(units, splits, strict=True)]


def _check_groups(splits: Sequence[str], groups: Sequence[str | None], column: str) -> None:
    stands: dict[str, set[str]] = defaultdict(set)
    for split, group in zip(splits, groups, strict=True):
        if group is not None:
            stands[group].add(split)
    torn = sorted(group for group, where in stands.items() if len(where) > 1)
    if torn:
        first = torn[0]
        where = ", ".join(split for split in SPLITS if split in stands[first])
        raise DataError(
            f"data.split.group: {len(torn)} of {len(stands)} groups of column {column!r} stand in more than "
            f"one split, for example {first!r} in {where}. Mend the split column, or leave data.split.column "
            "out to draw whole groups."
        )
