"""Division of rows into train, val and test: by a column, at random by fraction, or by whole groups.

The order of a draw follows from the digest of the seed and a row's id. So it does not depend on the order
of rows, and a row that is added or removed moves few others.
"""

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
    """Return ``train``, ``val`` or ``test`` for the usual names of these; None for anything else."""
    return _SYNONYMS.get(value.strip().lower()) if value else None


def assign(
    given: Sequence[str | None] | None,
    ids: Sequence[str],
    strata: Sequence[str],
    groups: Sequence[str | None],
    config: SplitConfig,
    seed: int,
) -> list[str]:
    """Return the split of each row.

    Args:
        given: Normalised splits from a column; None draws all. If the column has train and test but no val,
            val is drawn from its training rows.
        ids: Unique id of each row.
        strata: Stratum of each row, such as its label; each split gets its share of every stratum.
        groups: Group of each row, which stays whole; a row with None is a group of its own.
        config: Fractions of the splits, and the column of groups.

    Raises:
        DataError: If there are fewer groups than splits, or a column puts a group in two splits.
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
    """Draw the split of each row; ``fractions`` gives the share of each split, and they add up to 1."""
    strata = list(targets) if stratify else [""] * len(ids)
    if groups is None:
        splits = _draw_rows(fractions, ids, strata, seed)
        units = ids  # not copied to a list, which takes a hundred bytes per row
    else:
        units = [
            f"row {name}" if group is None else f"group {group}"
            for name, group in zip(ids, groups, strict=True)
        ]
        splits = _draw_groups(fractions, units, strata, seed)
    return _with_known_labels(splits, units, targets)


def _order(name: str, seed: int) -> int:
    """Return the rank of a row or group in the draw: the first eight bytes of a digest, as a number."""
    return int(digest(str(seed), name)[:16], 16)


def _draw_rows(
    fractions: Mapping[str, float], ids: Sequence[str], strata: Sequence[str], seed: int
) -> list[str]:
    """Draw rows within each stratum: one row goes to train, two to train and test, more to every split."""
    order = np.fromiter((_order(name, seed) for name in ids), np.uint64, len(ids))
    numbers: dict[str, int] = {}
    stratum = np.fromiter((numbers.setdefault(name, len(numbers)) for name in strata), np.int32, len(ids))
    drawn = np.lexsort((order, stratum))  # (N,) rows, one stratum after another
    splits = ["train"] * len(ids)
    for rows in np.split(drawn, np.cumsum(np.bincount(stratum))[:-1]):
        start = 0
        for split, count in _quotas(fractions, len(rows)).items():
            for row in rows[start : start + count]:
                splits[row] = split
            start += count
    return splits


def _quotas(fractions: Mapping[str, float], rows: int) -> dict[str, int]:
    """Return how many of a stratum's rows val and test get; train keeps the rest, at least one."""
    drawn = [split for split in ("test", "val") if split in fractions][: max(rows - 1, 0)]
    quotas = {split: max(1, round(fractions[split] * rows)) for split in drawn}
    while quotas and sum(quotas.values()) >= rows:
        quotas[max(quotas, key=lambda split: quotas[split])] -= 1
    return quotas


def _draw_groups(
    fractions: Mapping[str, float], units: Sequence[str], strata: Sequence[str], seed: int
) -> list[str]:
    """Draw whole groups, the largest first, each to the split that lacks most of its strata."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for unit, stratum in zip(units, strata, strict=True):
        counts[unit][stratum] += 1
    if len(counts) < len(fractions):
        raise DataError(
            f"data.split.group: {len(counts)} groups ({', '.join(sorted(counts)[:5])}) cannot fill the "
            f"splits {', '.join(fractions)}. Choose a column with more groups, or give the split in a column "
            "(data.split.column)."
        )
    total = Counter(strata)
    lacking = {
        split: {stratum: share * total[stratum] for stratum in total} for split, share in fractions.items()
    }
    empty = set(fractions)
    split_of: dict[str, str] = {}
    ordered = sorted(counts, key=lambda unit: (-counts[unit].total(), _order(unit, seed)))
    for left, unit in zip(range(len(ordered), 0, -1), ordered, strict=True):
        open_splits = (
            [split for split in fractions if split in empty] if left <= len(empty) else list(fractions)
        )

        def need(split: str, held: Counter[str] = counts[unit]) -> float:
            return sum(number * lacking[split][stratum] / total[stratum] for stratum, number in held.items())

        split = max(open_splits, key=need)
        split_of[unit] = split
        empty.discard(split)
        for stratum, number in counts[unit].items():
            lacking[split][stratum] -= number
    return [split_of[unit] for unit in units]


def _with_known_labels(splits: list[str], units: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Move units to train until it has every label.

    The smallest unit with a label that train lacks moves, unless its split would be empty without it.
    """
    known = {target for split, target in zip(splits, targets, strict=True) if split == "train"}
    if known.issuperset(targets):
        return splits
    sizes = Counter(units)
    while True:
        known = {target for split, target in zip(splits, targets, strict=True) if split == "train"}
        rows_of = Counter(splits)
        movable = [
            row
            for row, split in enumerate(splits)
            if split != "train" and targets[row] not in known and rows_of[split] > sizes[units[row]]
        ]
        if not movable:
            return splits
        unit = units[min(movable, key=lambda row: (sizes[units[row]], units[row]))]
        splits = ["train" if name == unit else split for name, split in zip(units, splits, strict=True)]


def _check_groups(splits: Sequence[str], groups: Sequence[str | None], column: str) -> None:
    """Check that each group is in one split.

    Raises:
        DataError: If a group is in several.
    """
    splits_of: dict[str, set[str]] = defaultdict(set)
    for split, group in zip(splits, groups, strict=True):
        if group is not None:
            splits_of[group].add(split)
    divided = sorted(group for group, group_splits in splits_of.items() if len(group_splits) > 1)
    if divided:
        first = divided[0]
        example = ", ".join(split for split in SPLITS if split in splits_of[first])
        raise DataError(
            f"data.split.group: {len(divided)} of {len(splits_of)} groups of column {column!r} are in more "
            f"than one split, for example {first!r} in {example}. Correct the split column, or leave "
            "data.split.column out to draw whole groups."
        )
