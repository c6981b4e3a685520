"""One column of old and new rows: how far its distribution has moved, and whether chance explains it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

from components.targets.target import FloatArray

_BINS = 10
_LEAST_EXPECTED = 5  # rows of a category in each sample, below which the chi-square distribution is off
_MISSING = object()


@dataclass(frozen=True)
class Moved:
    """What became of one column.

    Attributes:
        effect: How far it has moved: the population stability index, or a difference of rates.
        p: That chance alone moves it so far.
    """

    effect: float
    p: float


def numbers(old: FloatArray, new: FloatArray) -> Moved:
    """Kolmogorov-Smirnov test and PSI over the tenths of the old rows.

    Args:
        old: (N,), NaN where a cell is empty.
        new: (M,), the same.

    Returns:
        Empty cells are a bin of their own of the PSI; where there are any, the p-value also tests their share
        (twice the smaller of the two).
    """
    known_old, known_new = old[~np.isnan(old)], new[~np.isnan(new)]
    gaps = [len(old) - len(known_old), len(new) - len(known_new)]
    chances = []
    if len(known_old) and len(known_new):
        chances.append(ks_2samp(known_old, known_new, method="asymp").pvalue)
    if any(gaps):
        chances.append(rates((gaps[0], len(old)), (gaps[1], len(new))).p)
    counts = [
        [*_binned(known, known_old), gap] for known, gap in zip((known_old, known_new), gaps, strict=True)
    ]
    if not any(gaps):
        counts = [row[:-1] for row in counts]
    return Moved(psi(*counts), float(min(1.0, len(chances) * min(chances, default=1.0))))


def categories(old: Sequence[str | None], new: Sequence[str | None]) -> Moved:
    """Chi-square test (Fisher's where there are two categories) and PSI; None is a category.

    Categories that are too rare for the test are counted together.
    """
    counts = [Counter(_MISSING if cell is None else cell for cell in cells) for cells in (old, new)]
    smaller = min(len(old), len(new)) / (len(old) + len(new))
    totals = counts[0] + counts[1]
    common = [cell for cell, total in totals.items() if total * smaller >= _LEAST_EXPECTED]
    table = np.array([[each[cell] for cell in common] for each in counts]).reshape(2, -1)
    rest = np.array([[len(old)], [len(new)]]) - table.sum(axis=1, keepdims=True)
    if rest.any():
        table = np.concatenate([table, rest], axis=1)
    if table.shape[1] < 2:
        return Moved(0.0, 1.0)
    test = fisher_exact(table) if table.shape[1] == 2 else chi2_contingency(table, correction=False)
    return Moved(psi(*table), float(test.pvalue))


def labels(old: Sequence[Sequence[str]], new: Sequence[Sequence[str]]) -> Moved:
    """The label that has moved farthest, of rows with any number of labels.

    Each label's share is tested by Fisher's test; the p-value is the smallest times the number of labels.
    """
    found = []
    for label in sorted({label for row in (*old, *new) for label in row}):
        have = [sum(label in row for row in rows) for rows in (old, new)]
        table = [[count, len(rows) - count] for count, rows in zip(have, (old, new), strict=True)]
        found.append(Moved(psi(*table), float(fisher_exact(table).pvalue)))
    if not found:
        return Moved(0.0, 1.0)
    return Moved(max(each.effect for each in found), min(1.0, len(found) * min(each.p for each in found)))


def rates(old: tuple[int, int], new: tuple[int, int], alternative: str = "two-sided") -> Moved:
    """Difference of two rates, new less old, by Fisher's exact test.

    Args:
        old: How many of how many.
        new: The same.
        alternative: ``two-sided``, or ``greater`` where only a rise is of interest.
    """
    table = [[new[0], new[1] - new[0]], [old[0], old[1] - old[0]]]
    return Moved(
        new[0] / new[1] - old[0] / old[1], float(fisher_exact(table, alternative=alternative).pvalue)
    )


def psi(old: Sequence[float] | np.ndarray, new: Sequence[float] | np.ndarray) -> float:
    """Population stability index of two histograms over the same bins.

    The sum of (q - p) ln(q / p), the symmetric Kullback-Leibler divergence of Jeffreys; by the rule of thumb
    of credit scoring (Siddiqi 2006) below .1 nothing has changed and above .25 much has. Half a row is added
    to every bin, so that an empty one does not make it infinite.
    """
    p, q = (np.asarray(counts, np.float64) + 0.5 for counts in (old, new))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def _binned(values: FloatArray, old: FloatArray) -> list[int]:
    """Rows in each tenth of the old values; fewer bins where a value is more frequent than that."""
    if not len(old):
        return [len(values)]
    edges = np.unique(np.quantile(old, np.arange(1, _BINS) / _BINS))
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1).tolist()
