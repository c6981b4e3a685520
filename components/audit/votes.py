"""Votes on the labels: predictions for each row by models of one input that were not fitted on it.

A row's agreement is the product of vote and label, each less its mean. For randomly ordered rows it is 0 on
average. So an agreement near 0 means that the input does not depend on the label, or that its rows were
shuffled, all or within a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.audit.descriptors import standardised

_RIDGE = (10.0, 1000.0)  # penalties whose votes are added, for dimensions of deviation 1
_SURE = 2.576  # standard errors of a 99 % interval
_NOTHING = 0.1  # correlation
_PERMUTATIONS = 199
_LEAST = 20  # rows of a block
_MOST_BLOCKS = 3
_GONE = 0.3  # share of the usual agreement, above which a block is not shuffled
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Votes:
    """Out-of-fold predictions of one input's models.

    Attributes:
        agreement: (N,) agreement of each row; 0 on average for random votes.
        skill: Correlation of votes and labels; 1 is always right, 0 random.
        low: Lower end of the 99 % interval of the skill.
        high: Upper end of the 99 % interval of the skill.
        right: Share of rows whose label is predicted, and that share for random votes; None for numbers.
    """

    agreement: Array
    skill: float
    low: float
    high: float
    right: tuple[float, float] | None

    @property
    def at_random(self) -> bool:
        """True if random labels would agree as well, and the rows suffice to know it.

        The bound is wider than the interval, because the errors of one model's votes are correlated.
        """
        return self.skill < _NOTHING and self.high < 2 * _NOTHING


@dataclass(frozen=True)
class Block:
    """Consecutive rows of an input that do not agree with their labels, though the other rows do.

    Attributes:
        first: Index of the first row among the votes.
        last: Index of the last row.
        skill: Agreement inside, as a share of the usual agreement of these labels.
    """

    first: int
    last: int
    skill: float


def vote(vectors: Array, values: Array, units: NDArray[np.int64], folds: int) -> Votes:
    """Predict the values of each fold by ridge regression on the other folds.

    Args:
        vectors: (N, D) features of one input.
        values: (N, K) targets: a column per class or label, or one number.
        units: (N,) number of each row's unit; rows of equal content or of one group share a fold.
    """
    x, y = standardised(vectors), values - values.mean(axis=0)
    votes = sum((_out_of_fold(x, y, units % folds, penalty) for penalty in _RIDGE), np.zeros_like(y))
    products = (votes * y).sum(axis=1)
    scale = float(np.sqrt((votes**2).sum(axis=1).mean() * (y**2).sum(axis=1).mean())) or 1.0
    skill = float(products.mean()) / scale
    unit = np.unique(units, return_inverse=True)[1]
    # The error counts units, as rows of one unit are not independent.
    sums = np.bincount(unit, products - products.mean())
    error = _SURE * float(np.sqrt((sums**2).sum())) / len(y) / scale
    right = None
    if y.shape[1] > 1 and (values.sum(axis=1) == 1).all():
        predicted, labels = (votes + values.mean(axis=0)).argmax(axis=1), values.argmax(axis=1)
        at_random = (np.bincount(predicted, minlength=y.shape[1]) / len(y)) @ values.mean(axis=0)
        right = (float((predicted == labels).mean()), float(at_random))
    return Votes(products / scale, skill, skill - error, skill + error, right)


def _out_of_fold(x: Array, y: Array, folds: NDArray[np.int64], penalty: float) -> Array:
    """Predict each fold from the other folds; (N, K), centred like ``y``."""
    votes = np.zeros_like(y)
    gram, cross = x.T @ x, x.T @ y
    for fold in np.unique(folds):
        held = folds == fold
        inside = x[held]
        left = gram - inside.T @ inside + penalty * np.eye(x.shape[1])
        votes[held] = inside @ np.linalg.solve(left, cross - inside.T @ y[held])
    return votes


def shuffled_blocks(votes: Votes, strata: Sequence[str], level: float, seed: int) -> list[Block]:
    """Find blocks of rows without agreement in a table whose other rows agree.

    The block with the largest loss of agreement is compared with those of random permutations within each
    label. So a table sorted by label, with one label that is hard to predict, gives no alarm. Neither does a
    table in which rows of similar difficulty are neighbours.

    Args:
        votes: Votes of one input, in the order of the table.
        strata: (N,) label of each row, or decile of its number.
        level: Probability of a false alarm.
    """
    if votes.low < 0.1 or len(strata) < 2 * _LEAST:
        return []  # without a usual agreement none can be lost
    groups = np.unique(np.asarray(strata), return_inverse=True)[1]
    usual = _usual(votes.agreement, groups)
    lost = usual / 2 - votes.agreement  # (N,), positive on average in a shuffled block, else negative
    lost = np.clip(lost, *np.quantile(lost, [0.01, 0.99]))
    rng = np.random.default_rng(seed)
    highest = np.quantile(
        [_largest(_permuted(lost, groups, rng))[0] for _ in range(_PERMUTATIONS)], 1 - level
    )
    blocks: list[Block] = []
    while len(blocks) < _MOST_BLOCKS:
        total, first, last = _largest(lost)
        if total <= highest:
            break
        rows = slice(first, last + 1)
        expected = float(usual[rows].mean())
        inside = votes.agreement[rows]
        error = 2 * inside.std() / np.sqrt(len(inside))
        lost[rows] = lost.min()  # so that the next search passes over it
        if len(inside) < _LEAST or inside.mean() > _GONE * expected or inside.mean() + error > 0.7 * expected:
            continue
        blocks.append(Block(first, last, float(inside.mean() / expected)))
    outside = np.ones(len(lost), bool)
    for block in blocks:
        outside[block.first : block.last + 1] = False
    if _clusters(usual / 2 - votes.agreement, groups, outside):
        return []
    return sorted(blocks, key=lambda block: block.first)


def _clusters(lost: Array, groups: NDArray[np.int64], outside: NDArray[np.bool_]) -> bool:
    """Return True if neighbours outside the blocks agree or disagree together, beyond their labels.

    In a table whose similar rows are neighbours, such as a catalogue, hard rows form blocks by themselves.
    There random permutations prove nothing.
    """
    rest = lost.copy()
    for group in np.unique(groups[outside]):
        rows = (groups == group) & outside
        rest[rows] -= lost[rows].mean()
    pairs = outside[:-1] & outside[1:]
    together = float(
        (rest[:-1] * rest[1:])[pairs].mean() / max(float(np.square(rest[outside]).mean()), 1e-12)
    )
    return together > 3 / np.sqrt(max(int(pairs.sum()), 1))


def _usual(agreement: Array, groups: NDArray[np.int64]) -> Array:
    """Return each row's usual agreement in its group, (N,): the larger of median and mean."""
    usual = np.zeros_like(agreement)
    for group in np.unique(groups):
        rows = groups == group
        usual[rows] = max(float(np.median(agreement[rows])), float(agreement[rows].mean()))
    return usual


def _permuted(lost: Array, groups: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """Permute the values at random within each group."""
    order = np.lexsort((rng.random(len(lost)), groups))
    targets = np.argsort(groups, kind="stable")
    permuted = np.empty_like(lost)
    permuted[targets] = lost[order]
    return permuted


def _largest(values: Array) -> tuple[float, int, int]:
    """Return the largest sum over consecutive rows, with the indices of the first and last of them."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    lowest = np.minimum.accumulate(sums[:-1])
    gains = sums[1:] - lowest
    last = int(gains.argmax())
    return float(gains[last]), int(sums[: last + 1].argmin()), last
