"""A column that tells the label all by itself, a text that says it, and groups that stand in two splits."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from components.preprocess.values import to_number

_FEW = 64  # values of a column that are looked up each
_MOST_LABELS = 50  # that are looked for in texts


def told(cells: Sequence[str | None], strata: Sequence[str], folds: NDArray[np.int64]) -> tuple[float, float]:
    """Share of the rows whose label a column tells, and the share that the commonest label has.

    Each fold is told by the others: by a decision tree where the cells are numbers of many values, else by
    the label that a value mostly has. An empty cell is a value too.
    """
    labels = np.asarray(strata, dtype=object)
    numbers = np.array([to_number(cell) if cell else None for cell in cells], dtype=np.float64)
    many = len(set(cells)) > _FEW and np.isfinite(numbers).mean() > 0.9
    right = 0
    for fold in np.unique(folds):
        learned, held = folds != fold, folds == fold
        if many:
            tree = DecisionTreeClassifier(max_leaf_nodes=64, min_samples_leaf=5, random_state=0)
            tree.fit(numbers[learned, None], labels[learned])
            answers = tree.predict(numbers[held, None])
        else:
            answers = _usual(cells, labels, learned, held)
        right += int((answers == labels[held]).sum())
    most = Counter(labels.tolist()).most_common(1)[0][1]
    return right / len(labels), most / len(labels)


def _usual(
    cells: Sequence[str | None],
    labels: NDArray[np.object_],
    learned: NDArray[np.bool_],
    held: NDArray[np.bool_],
) -> NDArray[np.object_]:
    """The label that each value mostly has among the learned rows; of an unknown one the commonest."""
    values = np.array([cell or "" for cell in cells], dtype=object)
    known: dict[str, Counter[str]] = defaultdict(Counter)
    for value, label in zip(values[learned], labels[learned], strict=True):
        known[value][label] += 1
    usual = Counter(labels[learned].tolist()).most_common(1)[0][0]
    best = {value: counts.most_common(1)[0][0] for value, counts in known.items()}
    return np.array([best.get(value, usual) for value in values[held]], dtype=object)


def said(texts: Sequence[str | None], labels: Sequence[str]) -> tuple[float, float]:
    """Share of the texts that contain their own label as a word, and of those that contain one at random."""
    pairs = [(text, label) for text, label in zip(texts, labels, strict=True) if text]
    if not pairs:
        return 0.0, 0.0
    counts = Counter(label for _, label in pairs).most_common(_MOST_LABELS)
    words = {label: re.compile(rf"(?<!\w){re.escape(label)}(?!\w)", re.IGNORECASE) for label, _ in counts}
    own = [bool(words[label].search(text)) for text, label in pairs if label in words]
    random = sum(count * sum(bool(words[label].search(text)) for text, _ in pairs) for label, count in counts)
    total = sum(count for _, count in counts)
    return sum(own) / len(own), random / total / len(pairs)


def torn(groups: Sequence[str | None], splits: Sequence[str]) -> tuple[int, int, float]:
    """Groups of several rows, those in train and another split, and the share of test rows in these."""
    stands: dict[str, set[str]] = defaultdict(set)
    rows = Counter(group for group in groups if group is not None)
    for group, split in zip(groups, splits, strict=True):
        if group is not None and rows[group] > 1:
            stands[group].add(split)
    across = {group for group, where in stands.items() if "train" in where and len(where) > 1}
    test = [group for group, split in zip(groups, splits, strict=True) if split == "test"]
    return len(stands), len(across), sum(group in across for group in test) / max(len(test), 1)


_NEIGHBOURS = 10


_CLOSER = 0.25  # than the tenth neighbour, and than rows are to their nearest one


_BLOCK = 512  # rows compared at a time


def shared(digests: Sequence[str | None], splits: Sequence[str], other: str) -> tuple[int, int, float]:
    """Rows of a split whose content train has too, rows of it, and the share that chance explains.

    Where contents repeat by themselves (short texts, tables of few categories), a row of train finds its
    content in another row of train just as often: that share is what chance explains.
    """
    there = [digest for digest, split in zip(digests, splits, strict=True) if split == "train" and digest]
    values, counts = np.unique(np.array(there, dtype=object).astype(str), return_counts=True)
    known = set(values.tolist())
    held = [digest for digest, split in zip(digests, splits, strict=True) if split == other and digest]
    by_chance = float(counts[counts > 1].sum() / max(len(there), 1))
    return sum(digest in known for digest in held), len(held), by_chance


def near_pairs(train: NDArray[np.float64], others: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Row of ``others`` and row of ``train`` that are nearly the same.

    Nearly the same is much closer than the tenth neighbour and than neighbours usually are: a picture saved
    again, a sound at another rate. Rows of a class whose members all look alike are not.

    Args:
        train: (N, D) descriptors of distinct contents.
        others: (M, D) of contents that train has not.
    """
    if len(train) <= _NEIGHBOURS or not len(others):
        return []
    found = [_nearest(train, others[start : start + _BLOCK]) for start in range(0, len(others), _BLOCK)]
    first, tenth, place = (np.concatenate(parts) for parts in zip(*found, strict=True))
    near = (first < _CLOSER * tenth) & (first < _CLOSER * np.median(first))
    return [(int(row), int(place[row])) for row in np.flatnonzero(near)]


def _nearest(
    train: NDArray[np.float64], some: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Distance to the nearest and to the tenth row of train, and which is the nearest. (B,) each."""
    squares = (some**2).sum(1)[:, None] - 2 * some @ train.T + (train**2).sum(1)
    order = np.argpartition(squares, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
    nearest = np.sqrt(np.maximum(np.take_along_axis(squares, order, axis=1), 0))
    closest = nearest.argmin(axis=1)
    rows = np.arange(len(some))
    return nearest[rows, closest], nearest.max(axis=1), order[rows, closest]
