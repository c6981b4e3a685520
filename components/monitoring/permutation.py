"""Permutation tests that divide whole groups of rows into old and new ones.

Rows that come in batches are alike within a batch. A test that takes each row for itself finds drift between
batches of one population. Under the hypothesis that nothing has changed, groups may be exchanged, and rows of
a group may not (Winkler et al. 2015, "Multi-level block permutation").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.targets import FloatArray

Groups = NDArray[np.int64]
Statistic = Callable[[FloatArray, FloatArray], FloatArray]
"""Function of the histograms (P, B) of old and of new rows that gives (P,), larger for more drift."""


@dataclass(frozen=True)
class Divisions:
    """Random divisions of groups into old and new ones, for some rows.

    Attributes:
        old: (N,) group of each old row.
        new: (M,) group of each new row, none of them among the old ones.
        permutations: Number P of divisions.
        seed: Seed of the divisions.
    """

    old: Groups
    new: Groups
    permutations: int
    seed: int

    @classmethod
    def of(
        cls, old: Sequence[str | None], new: Sequence[str | None], permutations: int, seed: int
    ) -> Divisions:
        """Number the groups of all rows; a row without a group is one of its own."""
        first, second = _numbered(old), _numbered(new)
        return cls(first, second + first.max(initial=0) + 1, permutations, seed)

    def take(self, old: NDArray[np.bool_] | Groups, new: NDArray[np.bool_] | Groups) -> Divisions:
        """Keep some rows of each side."""
        return replace(self, old=self.old[old], new=self.new[new])

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of old and of new groups."""
        return len(np.unique(self.old)), len(np.unique(self.new))

    @property
    def possible(self) -> int:
        """Number of different divisions, whose reciprocal is the smallest p-value."""
        return math.comb(sum(self.sizes), self.sizes[1])

    def rows(self) -> FloatArray:
        """Draw divisions as (P + 1, N + M), 1 for a row of a new group; the true division is the first."""
        chosen, number = self._drawn()
        return chosen[:, number]

    def p_value(self, old: NDArray[np.int64], new: NDArray[np.int64], statistic: Statistic) -> float:
        """Compute the probability of at least this drift if whole groups are divided at random.

        Args:
            old: (N,) bin of each old row, from 0.
            new: (M,) bin of each new row.
            statistic: Measure of the drift between two histograms.
        """
        chosen, number = self._drawn()
        bins = np.concatenate([old, new])
        counts = np.zeros((chosen.shape[1], int(bins.max()) + 1))
        np.add.at(counts, (number, bins), 1)
        after = chosen @ counts  # (P + 1, B)
        with np.errstate(invalid="ignore", divide="ignore"):
            return share_further(statistic(counts.sum(axis=0) - after, after))

    def _drawn(self) -> tuple[FloatArray, Groups]:
        """Draw divisions of the groups, (P + 1, G), and number the group of each row, (N + M,)."""
        groups, number = np.unique(np.concatenate([self.old, self.new]), return_inverse=True)
        is_new = np.isin(groups, self.new)
        rng = np.random.default_rng(self.seed)
        drawn = [is_new, *(rng.permutation(is_new) for _ in range(self.permutations))]
        return np.array(drawn, np.float64), number


def share_further(values: FloatArray) -> float:
    """Share of divisions (P + 1,) with at least the drift of the first; what is not defined counts."""
    return float((~(values < values[0] - 1e-12)).sum() / len(values))


def largest_step(old: FloatArray, new: FloatArray) -> FloatArray:
    """Compute the largest distance between two cumulative distributions (Kolmogorov-Smirnov)."""
    first, second = (each.cumsum(axis=1) / each.sum(axis=1, keepdims=True) for each in (old, new))
    return np.asarray(np.abs(first - second).max(axis=1))


def chi_square(old: FloatArray, new: FloatArray) -> FloatArray:
    """Compute Pearson's chi-square of two rows of counts."""
    sizes = [each.sum(axis=1, keepdims=True) for each in (old, new)]
    squares = (old / sizes[0] - new / sizes[1]) ** 2 / np.maximum(old + new, 1)
    return np.asarray(squares.sum(axis=1) * sizes[0][:, 0] * sizes[1][:, 0])


def rise(old: FloatArray, new: FloatArray) -> FloatArray:
    """Compute the rise of the share of the second of two bins."""
    return np.asarray(new[:, 1] / new.sum(axis=1) - old[:, 1] / old.sum(axis=1))


def _numbered(groups: Sequence[str | None]) -> Groups:
    codes, known = pd.factorize(pd.Series(list(groups), dtype=object))
    alone = codes < 0
    codes[alone] = len(known) + np.arange(alone.sum())
    return np.asarray(codes, np.int64)
