"""Do the rows of an input go with their labels? Models of it alone, which have not seen a row, vote on it.

A row's agreement is the product of what is voted and what stands there, both less their mean. Were the
input's rows put in another order, it would be 0 on average: that is so of an input that says nothing of the
label, of one whose rows have been shuffled, and inside a block of shuffled rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.audit.descriptors import standardised

_RIDGE = (10.0, 1000.0)  # penalties, whose votes are added; dimensions have deviation 1
_SURE = 2.576  # standard errors of a 99 % interval
_NOTHING = 0.1  # correlation
_PERMUTATIONS = 199
_LEAST = 20  # rows of a block
_MOST_BLOCKS = 3
_GONE = 0.3  # share of the usual agreement below which a block has lost it
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Votes:
    """What models of one input say of rows they have not seen.

    Attributes:
        agreement: (N,); the mean of the usual agreement is positive, at random it is 0.
        skill: Correlation of votes and labels: 1 always right, 0 at random.
        low, high: Its 99 % interval.
        right: Share of rows voted for as they are labelled, and that share at random; None of numbers.
    """

    agreement: Array
    skill: float
    low: float
    high: float
    right: tuple[float, float] | None

    @property
    def at_random(self) -> bool:
        """Whether rows and labels put together at random agree as well, and rows are enough to say so.

        Votes of one model err together: some agreement comes up at random more often than its interval says.
        """
        return self.skill < _NOTHING and self.high < 2 * _NOTHING


@dataclass(frozen=True)
class Block:
    """Consecutive rows of an input that do not go with their labels, though the others do.

    Attributes:
        first, last: Positions among the rows voted on.
        skill: Agreement inside, as a share of what is usual for such labels.
    """

    first: int
    last: int
    skill: float


def vote(vectors: Array, values: Array, units: NDArray[np.int64], folds: int) -> Votes:
    """Ridge regression of the values on the vectors, each fold by the others.

    Args:
        vectors: (N, D).
        values: (N, K): one column a class or label, or one number.
        units: (N,): rows of the same content or group have the same number, and belong to one fold.
        folds: How many.
    """
    x, y = standardised(vectors), values - values.mean(axis=0)
    votes = sum((_out_of_fold(x, y, units % folds, penalty) for penalty in _RIDGE), np.zeros_like(y))
    products = (votes * y).sum(axis=1)
    scale = float(np.sqrt((votes**2).sum(axis=1).mean() * (y**2).sum(axis=1).mean())) or 1.0
    skill = float(products.mean()) / scale
    places = np.unique(units, return_inverse=True)[1]
    sums = np.bincount(places, products - products.mean())  # rows of one unit are not independent
    error = _SURE * float(np.sqrt((sums**2).sum())) / len(y) / scale
    right = None
    if y.shape[1] > 1 and (values.sum(axis=1) == 1).all():
        said, labels = (votes + values.mean(axis=0)).argmax(axis=1), values.argmax(axis=1)
        at_random = (np.bincount(said, minlength=y.shape[1]) / len(y)) @ values.mean(axis=0)
        right = (float((said == labels).mean()), float(at_random))
    return Votes(products / scale, skill, skill - error, skill + error, right)


def _out_of_fold(x: Array, y: Array, folds: NDArray[np.int64], penalty: float) -> Array:
    """(N, K), less the mean of the rows that each was learned from."""
    votes = np.zeros_like(y)
    gram, cross = x.T @ x, x.T @ y
    for fold in np.unique(folds):
        held = folds == fold
        inside = x[held]
        left = gram - inside.T @ inside + penalty * np.eye(x.shape[1])
        votes[held] = inside @ np.linalg.solve(left, cross - inside.T @ y[held])
    return votes


def shuffled_blocks(votes: Votes, strata: Sequence[str], level: float, seed: int) -> list[Block]:
    """Blocks of rows whose agreement is lost, in a table whose other rows agree.

    The block of the largest sum of lost agreement is compared with those that come up when rows of the same
    label change places at random: a table sorted by label, of which one is hard to tell, is no alarm. Nor is
    one in which rows of like difficulty stand side by side.

    Args:
        votes: Of one input, in the order of the table.
        strata: (N,): label, or tenth of a number's range.
        level: Chance of a false alarm.
        seed: Of the permutations.
    """
    if votes.low < 0.1 or len(strata) < 2 * _LEAST:
        return []  # where nothing is usual, nothing can be lost
    groups = np.unique(np.asarray(strata), return_inverse=True)[1]
    usual = _usual(votes.agreement, groups)
    lost = usual / 2 - votes.agreement  # (N,): positive on average where agreement is gone, else negative
    lost = np.clip(lost, *np.quantile(lost, [0.01, 0.99]))
    rng = np.random.default_rng(seed)
    highest = np.quantile(
        [_largest(_shuffled(lost, groups, rng))[0] for _ in range(_PERMUTATIONS)], 1 - level
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
        lost[rows] = lost.min()  # not found again
        if len(inside) < _LEAST or inside.mean() > _GONE * expected or inside.mean() + error > 0.7 * expected:
            continue
        blocks.append(Block(first, last, float(inside.mean() / expected)))
    outside = np.ones(len(lost), bool)
    for block in blocks:
        outside[block.first : block.last + 1] = False
    if _goes_together(usual / 2 - votes.agreement, groups, outside):
        return []
    return sorted(blocks, key=lambda block: block.first)


def _goes_together(lost: Array, groups: NDArray[np.int64], some: NDArray[np.bool_]) -> bool:
    """Whether neighbours among some rows are lost or right together, more than their labels explain.

    It is so of a table in which like rows stand side by side (an alphabet, a catalogue): there hard rows make
    blocks by themselves, and changing places at random says nothing.
    """
    rest = lost.copy()
    for group in np.unique(groups[some]):
        rows = (groups == group) & some
        rest[rows] -= lost[rows].mean()
    pairs = some[:-1] & some[1:]
    together = float((rest[:-1] * rest[1:])[pairs].mean() / max(float(np.square(rest[some]).mean()), 1e-12))
    return together > 3 / np.sqrt(max(int(pairs.sum()), 1))


def _usual(agreement: Array, groups: NDArray[np.int64]) -> Array:
    """Median-like agreement of the rows of each group, which a block among them does not move much. (N,)."""
    usual = np.zeros_like(agreement)
    for group in np.unique(groups):
        rows = groups == group
        usual[rows] = max(float(np.median(agreement[rows])), float(agreement[rows].mean()))
    return usual


def _shuffled(lost: Array, groups: NDArray[np.int64], rng: np.random.Generator) -> Array:
    """The same values, changed about among the rows of each group."""
    order = np.lexsort((rng.random(len(lost)), groups))
    places = np.argsort(groups, kind="stable")
    moved = np.empty_like(lost)
    moved[places] = lost[order]
    return moved


def _largest(values: Array) -> tuple[float, int, int]:
    """Largest sum over consecutive rows, with the first and the last of them."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    lowest = np.minimum.accumulate(sums[:-1])
    gains = sums[1:] - lowest
    last = int(gains.argmax())
    return float(gains[last]), int(sums[: last + 1].argmin()), last
