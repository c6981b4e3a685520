"""Division of labelled rows into train, val and test: by a column, or by a number drawn for row or group.

The number follows from the digest of the seed and the row's id, its group, or its content where rows have no
ids. So whether a row is a test row depends on no other row. It stays one while a table grows, shrinks or is
sorted otherwise, and a model of last month has not learned from it. The price is that shares are met on
average only.

Between val and train, from both of which a model learns, rows of rare classes may change places.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from components.config.data import SplitConfig
from components.data.spelling import identity
from components.errors import DataError
from components.storage.digest import short_digest

logger = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
UNLABELLED = "unlabelled"
"""Split of rows without a target, which no metric counts and no supervised training sees."""
_TRAIN, _VAL, _TEST = range(3)
_SPARES = 4  # training rows of a class, or groups, of which one may go to validation
_SYNONYMS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
    "unlabelled": UNLABELLED, "unlabeled": UNLABELLED,
}  # fmt: skip


def normal_split(value: str | None) -> str | None:
    """Return ``train``, ``val``, ``test`` or ``unlabelled`` for their usual names; None for anything else."""
    return _SYNONYMS.get(value.strip().lower()) if value else None


def assign(
    given: Sequence[str | None] | None,
    names: Sequence[str],
    strata: Sequence[str],
    groups: Sequence[str | None],
    config: SplitConfig,
) -> list[str]:
    """Return the split of each labelled row.

    Args:
        given: Normalised splits from a column; None draws all. If the column has train and test but no val,
            val is drawn from its training rows.
        names: Name by which each row is known in any table; rows of one name stay together.
        strata: Stratum of each row, such as its label.
        groups: Group of each row, which stays whole; a row with None is a group of its own.
        config: Fractions of the splits, seed of the draw, and the column of groups.

    Raises:
        DataError: If there are too few rows or groups to draw from, or a column puts a group in two splits.
    """
    if given is not None:
        filled = [split or "train" for split in given]
        if config.group is not None:
            _check_groups(filled, groups, config.group)
        if "val" in filled or "train" not in filled:
            return filled
    val, test = config.fractions
    drawn = np.fromiter(_draw(names, groups, config), np.uint64, len(names))
    share = drawn / 2.0**64  # (N,), uniform in [0, 1)
    if given is None:
        is_test = share < test
        if len(drawn) and not is_test.any():
            # The least one is the test. As the table grows, a row that was none never becomes one by this.
            is_test = drawn == drawn.min()
    else:
        is_test = np.fromiter((split == "test" for split in given), bool, len(given))
    is_val = (share >= test) & (share < test + val)
    splits = np.where(is_test, _TEST, np.where(is_val, _VAL, _TRAIN)).astype(np.int8)  # (N,)
    _fill(splits, drawn, config)
    _exchange(splits, drawn, strata, both=config.stratify)
    if given is None and config.group is not None:
        _warn_of_shares(is_test.mean(), config)
    return [SPLITS[split] for split in splits.tolist()]


def _draw(names: Sequence[str], groups: Sequence[str | None], config: SplitConfig) -> Iterator[int]:
    """Draw a number for each row, one for all rows of a group."""
    for name, group in zip(names, groups, strict=True):
        is_grouped = config.group is not None and group is not None
        unit = f"group {identity(group)}" if is_grouped else f"row {identity(name)}"
        yield short_digest(f"{config.seed} {unit}")


def _fill(splits: NDArray[np.int8], drawn: NDArray[np.uint64], config: SplitConfig) -> None:
    """See to it that train and val have a row each."""
    learnable = np.unique(drawn[splits != _TEST])
    if len(learnable) < 2:
        what = "rows" if config.group is None else "groups"
        option = "data.split" if config.group is None else "data.split.group"
        raise DataError(
            f"{option}: {len(np.unique(drawn))} {what} cannot fill the splits train, val and test: the draw "
            f"leaves {len(learnable)} outside of the test. Add {what}, choose another data.split.seed, or "
            "give the split in a column (data.split.column)."
        )
    for split, unit in ((_VAL, learnable[0]), (_TRAIN, learnable[-1])):
        if not (splits == split).any():
            splits[drawn == unit] = split


def _exchange(splits: NDArray[np.int8], drawn: NDArray[np.uint64], strata: Sequence[str], both: bool) -> None:
    """Move units of rare strata from val to train where train has none, and back where train can spare one.

    Args:
        splits: (N,) splits, which are changed.
        drawn: (N,) number of each row's unit, by which it is known.
        strata: (N,) strata.
        both: Fill strata of val too.
    """
    numbers: dict[str, int] = {}
    stratum = np.fromiter((numbers.setdefault(name, len(numbers)) for name in strata), np.int64, len(splits))
    by_name = [numbers[name] for name in sorted(numbers)]  # whatever the order of the rows
    rows_of_unit, rows_of = _Rows(drawn), _Rows(stratum)

    def units(split: int, number: int) -> NDArray[np.uint64]:
        rows = rows_of[number]
        return np.unique(drawn[rows[splits[rows] == split]])

    def absent_from(split: int) -> list[int]:
        counts = np.bincount(stratum[splits == split], minlength=len(numbers))
        return [number for number in by_name if not counts[number]]

    spare = len(np.unique(drawn[splits == _VAL])) - 1
    for number in absent_from(_TRAIN):
        candidates = units(_VAL, number)
        if spare and len(candidates) and not len(units(_TRAIN, number)):
            splits[rows_of_unit[candidates[-1]]] = _TRAIN
            spare -= 1
    for number in absent_from(_VAL) if both else ():
        if len(units(_VAL, number)):
            continue
        for unit in units(_TRAIN, number):
            rows = rows_of_unit[unit]
            if all(len(units(_TRAIN, each)) >= _SPARES for each in np.unique(stratum[rows]).tolist()):
                splits[rows] = _VAL
                break


class _Rows:
    """Rows by key.

    Args:
        keys: (N,) key of each row.
    """

    def __init__(self, keys: NDArray[np.integer]) -> None:
        self._rows = np.argsort(keys, kind="stable")
        self._keys = keys[self._rows]

    def __getitem__(self, key: int | np.integer) -> NDArray[np.intp]:
        start, stop = np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right")
        return self._rows[start:stop]


def _warn_of_shares(share: float, config: SplitConfig) -> None:
    _, test = config.fractions
    if abs(share - test) > test / 2:
        logger.warning(
            "data.split.group: whole groups of column %r make the test %.0f%% of the rows, not %.0f%%. For "
            "another draw set data.split.seed; or give the split in a column (data.split.column)",
            config.group, 100 * share, 100 * test,
        )  # fmt: skip


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
