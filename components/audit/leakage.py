"""Leaks of the target: predictive columns, labels in texts, and content or groups in two splits."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from components.preprocess.scripts import is_unspaced
from components.preprocess.values import to_number

_FEW = 64  # distinct values; a column of more is fitted by a tree if it is numeric
_MOST_LABELS = 50  # most frequent labels, which are searched in texts
_NEIGHBOURS = 10
_CLOSER = 0.25  # relative to the distance of the tenth neighbour, and to the median nearest distance
_BLOCK = 512  # rows compared at a time


def predicted_share(
    cells: Sequence[str | None], strata: Sequence[str], folds: NDArray[np.int64]
) -> tuple[float, float]:
    """Measure how well one column predicts the label, by cross-validation.

    Numbers of many values go to a decision tree. Otherwise the prediction is the most frequent label of the
    value, and an empty cell is a value too.

    Args:
        cells: Cell of each row; None where it is empty.
        folds: (N,) fold of each row.

    Returns:
        Share of rows whose label is predicted; share of the most frequent label.
    """
    labels = np.asarray(strata, dtype=object)
    numbers = np.array([to_number(cell) if cell else None for cell in cells], dtype=np.float64)
    many = len(set(cells)) > _FEW and np.isfinite(numbers).mean() > 0.9
    right = 0
    for fold in np.unique(folds):
        fitted, held = folds != fold, folds == fold  # (N,) bool each
        if many:
            tree = DecisionTreeClassifier(max_leaf_nodes=64, min_samples_leaf=5, random_state=0)
            tree.fit(numbers[fitted, None], labels[fitted])
            predictions = tree.predict(numbers[held, None])
        else:
            predictions = _most_frequent(cells, labels, fitted, held)
        right += int((predictions == labels[held]).sum())
    most = Counter(labels.tolist()).most_common(1)[0][1]
    return right / len(labels), most / len(labels)


def _most_frequent(
    cells: Sequence[str | None],
    labels: NDArray[np.object_],
    fitted: NDArray[np.bool_],
    held: NDArray[np.bool_],
) -> NDArray[np.object_]:
    """Predict each value's most frequent label in the fitted rows; for a new value that of all rows."""
    values = np.array([cell or "" for cell in cells], dtype=object)
    known: dict[str, Counter[str]] = defaultdict(Counter)
    for value, label in zip(values[fitted], labels[fitted], strict=True):
        known[value][label] += 1
    usual = Counter(labels[fitted].tolist()).most_common(1)[0][0]
    best = {value: counts.most_common(1)[0][0] for value, counts in known.items()}
    return np.array([best.get(value, usual) for value in values[held]], dtype=object)


def label_in_text_share(texts: Sequence[str | None], labels: Sequence[str]) -> tuple[float, float]:
    """Measure how many texts contain their own label as a word.

    Args:
        texts: Text of each row; None where it is empty.

    Returns:
        Share of texts that contain their label; share expected for labels drawn at random.
    """
    pairs = [(text, label) for text, label in zip(texts, labels, strict=True) if text]
    if not pairs:
        return 0.0, 0.0
    counts = Counter(label for _, label in pairs).most_common(_MOST_LABELS)
    words = {label: _word(label) for label, _ in counts}
    own = [bool(words[label].search(text)) for text, label in pairs if label in words]
    random = sum(count * sum(bool(words[label].search(text)) for text, _ in pairs) for label, count in counts)
    total = sum(count for _, count in counts)
    return sum(own) / len(own), random / total / len(pairs)


def _word(label: str) -> re.Pattern[str]:
    """Compile the pattern of a label as a word; where words have no spaces around them, anywhere."""
    before = "" if is_unspaced(label[0]) else r"(?<!\w)"
    after = "" if is_unspaced(label[-1]) else r"(?!\w)"
    return re.compile(before + re.escape(label) + after, re.IGNORECASE)


def divided_groups(groups: Sequence[str | None], splits: Sequence[str]) -> tuple[int, int, float]:
    """Count groups that are in train and in another split.

    Args:
        groups: Group of each row; None where it has none.

    Returns:
        Number of groups of several rows; number of those in train and another split; share of test rows
        that belong to such a group.
    """
    splits_of: dict[str, set[str]] = defaultdict(set)
    rows = Counter(group for group in groups if group is not None)
    for group, split in zip(groups, splits, strict=True):
        if group is not None and rows[group] > 1:
            splits_of[group].add(split)
    across = {group for group, held in splits_of.items() if "train" in held and len(held) > 1}
    test = [group for group, split in zip(groups, splits, strict=True) if split == "test"]
    return len(splits_of), len(across), sum(group in across for group in test) / max(len(test), 1)


def repeated_contents(
    digests: Sequence[str | None], splits: Sequence[str], other: str
) -> tuple[int, int, float]:
    """Count the rows of a split whose content is in train too.

    Short texts and tables of few categories repeat by chance. Then a row of train has its content in another
    row of train just as often, and that share is the expected one.

    Args:
        digests: Digest of each row's content; None where it is missing.
        other: Split to compare with train.

    Returns:
        Number of rows of the split with content of train; number of its rows; expected share.
    """
    train = [digest for digest, split in zip(digests, splits, strict=True) if split == "train" and digest]
    values, counts = np.unique(np.array(train, dtype=object).astype(str), return_counts=True)
    known = set(values.tolist())
    held = [digest for digest, split in zip(digests, splits, strict=True) if split == other and digest]
    by_chance = float(counts[counts > 1].sum() / max(len(train), 1))
    return sum(digest in known for digest in held), len(held), by_chance


def near_pairs(train: NDArray[np.float64], others: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Find rows of two sets that are nearly equal, such as an image that was saved again.

    Nearly equal means much closer than the tenth neighbour, and than most rows are to their nearest. So rows
    of a class whose members all look alike do not count.

    Args:
        train: (N, D) descriptors of distinct contents.
        others: (M, D) descriptors of contents that are not in train.

    Returns:
        Index of the row in ``others`` and in ``train``, per pair.
    """
    if len(train) <= _NEIGHBOURS or not len(others):
        return []
    blocks = [_nearest(train, others[start : start + _BLOCK]) for start in range(0, len(others), _BLOCK)]
    first, tenth, index = (np.concatenate(parts) for parts in zip(*blocks, strict=True))  # (M,) each
    near = (first < _CLOSER * tenth) & (first < _CLOSER * np.median(first))
    return [(int(row), int(index[row])) for row in np.flatnonzero(near)]


def _nearest(
    train: NDArray[np.float64], block: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the distances to the nearest and tenth row of train, and the index of the nearest; (B,) each."""
    squares = (block**2).sum(1)[:, None] - 2 * block @ train.T + (train**2).sum(1)  # (B, N)
    order = np.argpartition(squares, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
    nearest = np.sqrt(np.maximum(np.take_along_axis(squares, order, axis=1), 0))
    closest = nearest.argmin(axis=1)
    rows = np.arange(len(block))
    return nearest[rows, closest], nearest.max(axis=1), order[rows, closest]
