"""One column of old and new rows: how far its distribution has moved, and whether chance explains it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp, mannwhitneyu, rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from components.monitoring.permutation import (
    Divisions,
    Statistic,
    chi_square,
    largest_step,
    rise,
    share_further,
)
from components.targets import FloatArray

_BINS = 10
_LEAST_EXPECTED = 5  # rows of a category in each sample, below which the chi-square distribution is off
_MISSING = object()


@dataclass(frozen=True)
class Moved:
    """Shift of one column.

    Attributes:
        effect: Size of the shift: the population stability index, or a difference of rates.
        p: Probability of at least this shift by chance.
    """

    effect: float
    p: float


def numbers(old: FloatArray, new: FloatArray, *, divisions: Divisions | None = None) -> Moved:
    """Kolmogorov-Smirnov test and PSI over the tenths of the old rows.

    Args:
        old: (N,), NaN where a cell is empty.
        new: (M,), the same.
        divisions: Groups of these rows; None if every row is its own.

    Returns:
        Empty cells are a bin of their own of the PSI; where there are any, the p-value also tests their share
        (twice the smaller of the two).
    """
    known_old, known_new = old[~np.isnan(old)], new[~np.isnan(new)]
    gaps = [len(old) - len(known_old), len(new) - len(known_new)]
    chances = []
    if len(known_old) and len(known_new):
        chances.append(_step_test(old, new, divisions))
    if any(gaps):
        chances.append(rates(np.isnan(old), np.isnan(new), divisions=divisions).p)
    counts = [
        [*_binned(known, known_old), gap] for known, gap in zip((known_old, known_new), gaps, strict=True)
    ]
    if not any(gaps):
        counts = [row[:-1] for row in counts]
    return Moved(psi(*counts), float(min(1.0, len(chances) * min(chances, default=1.0))))


def _step_test(old: FloatArray, new: FloatArray, divisions: Divisions | None) -> float:
    """Test the known numbers by Kolmogorov-Smirnov; with groups in hundredths of all numbers."""
    known = [~np.isnan(each) for each in (old, new)]
    values = [each[rows] for each, rows in zip((old, new), known, strict=True)]
    if divisions is None:
        return float(ks_2samp(*values, method="asymp").pvalue)
    edges = np.unique(np.quantile(np.concatenate(values), np.arange(1, 100) / 100))
    bins = [np.searchsorted(edges, each) for each in values]
    return divisions.take(*known).p_value(bins[0], bins[1], largest_step)


def categories(
    old: Sequence[str | None], new: Sequence[str | None], *, divisions: Divisions | None = None
) -> Moved:
    """Chi-square test (Fisher's where there are two categories) and PSI; None is a category.

    Categories that are too rare for the test are counted together.

    Args:
        old: N cells.
        new: M cells.
        divisions: Groups of these rows; None if every row is its own.
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
    if divisions is not None:
        bin_of = {cell: number for number, cell in enumerate(common)}
        bins = [
            np.array([bin_of.get(_MISSING if cell is None else cell, len(common)) for cell in cells])
            for cells in (old, new)
        ]
        return Moved(psi(*table), divisions.p_value(bins[0], bins[1], chi_square))
    test = fisher_exact(table) if table.shape[1] == 2 else chi2_contingency(table, correction=False)
    return Moved(psi(*table), float(test.pvalue))


def labels(
    old: Sequence[Sequence[str]], new: Sequence[Sequence[str]], *, divisions: Divisions | None = None
) -> Moved:
    """Find the label that has moved farthest, of rows with any number of labels.

    Each label's share is tested by Fisher's test; the p-value is the smallest times the number of labels.

    Args:
        old: Labels of N rows.
        new: Labels of M rows.
        divisions: Groups of these rows; None if every row is its own.
    """
    shifts = []
    for label in sorted({label for row in (*old, *new) for label in row}):
        have = [np.array([label in row for row in rows], bool) for rows in (old, new)]
        table = [[each.sum(), len(each) - each.sum()] for each in have]
        shifts.append(Moved(psi(*table), rates(have[0], have[1], divisions=divisions).p))
    if not shifts:
        return Moved(0.0, 1.0)
    return Moved(max(each.effect for each in shifts), min(1.0, len(shifts) * min(each.p for each in shifts)))


def rates(
    old: NDArray[np.bool_],
    new: NDArray[np.bool_],
    alternative: Literal["two-sided", "greater"] = "two-sided",
    *,
    divisions: Divisions | None = None,
) -> Moved:
    """Compare two rates, new less old, by Fisher's exact test.

    Args:
        old: (N,), marks the old rows that are counted.
        new: (M,), the same.
        alternative: ``greater`` where only a rise is of interest.
        divisions: Groups of these rows; None if every row is its own.
    """
    effect = float(new.mean() - old.mean())
    if divisions is None:
        table = [[each.sum(), len(each) - each.sum()] for each in (new, old)]
        return Moved(effect, float(fisher_exact(table, alternative=alternative).pvalue))
    statistic: Statistic = chi_square if alternative == "two-sided" else rise
    return Moved(effect, divisions.p_value(old.astype(int), new.astype(int), statistic))


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


def holm(chances: Sequence[float]) -> list[float]:
    """Adjusted p-values: those below a level are rejected, and the chance of any false one is that level.

    Holm 1979, "A simple sequentially rejective multiple test procedure". It asks nothing of how the tests
    hang together, which is why it is used here: an input's tests all look at the same rows.
    """
    order = np.argsort(chances)
    factors = len(chances) - np.arange(len(chances))
    adjusted = np.maximum.accumulate(np.asarray(chances, np.float64)[order] * factors)
    result = np.empty(len(chances))
    result[order] = np.minimum(adjusted, 1.0)
    return result.tolist()


FOLDS = 5


_STRENGTH = 0.1  # inverse of the penalty: embeddings have many dimensions for few rows


def domain_auc(
    x: np.ndarray, y: np.ndarray, seed: int, divisions: Divisions | None = None
) -> tuple[float, float]:
    """Cross-validated area under the ROC curve of a logistic regression, and its p-value.

    Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests", https://arxiv.org/abs/1610.06545. In a
    fold the classifier has seen none of the vectors that it orders, so that the Mann-Whitney test of that
    fold is valid. The folds are not independent of each other; twice the mean of their p-values is a p-value
    whatever they have to do with each other (Vovk & Wang 2020, https://arxiv.org/abs/1212.4966). Groups stay
    whole, and a fold's test divides them anew. Then there are two folds, so that each holds enough groups.

    Args:
        x: (N, D) old vectors, at least one for each fold.
        y: (M, D) new ones, at least one for each fold.
        seed: Seed of the folds.
        divisions: Groups of these rows; None if every row is its own.

    Returns:
        Mean area over the folds (.5: they cannot be told apart), and the p-value.
    """
    vectors = np.concatenate([x, y]).astype(np.float64)
    new = np.repeat([False, True], [len(x), len(y)])
    areas, chances = [], []
    for learn, judge in _domain_folds(vectors, new, seed, divisions):
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=1000),
        )
        model.fit(vectors[learn], new[learn])
        scores, truth = model.decision_function(vectors[judge]), new[judge]
        test = mannwhitneyu(scores[truth], scores[~truth], alternative="greater")
        areas.append(test.statistic / (truth.sum() * (~truth).sum()))
        if divisions is None:
            chances.append(test.pvalue)
        else:
            inside = divisions.take(judge[~truth], judge[truth] - len(x))
            chances.append(_area_test(scores[~truth], scores[truth], inside))
    if not areas:
        return 0.5, 1.0
    return float(np.mean(areas)), float(min(1.0, 2 * np.mean(chances)))


def _domain_folds(
    vectors: np.ndarray, new: NDArray[np.bool_], seed: int, divisions: Divisions | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Divide rows into those that a classifier learns from and those that it orders."""
    if divisions is None:
        yield from StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(vectors, new)
    elif min(divisions.sizes) > 1:
        groups = np.concatenate([divisions.old, divisions.new])
        for parts in StratifiedGroupKFold(2, shuffle=True, random_state=seed).split(vectors, new, groups):
            if all(len(set(new[part])) == 2 for part in parts):
                yield parts


def _area_test(old: FloatArray, new: FloatArray, divisions: Divisions) -> float:
    """Test if new rows have higher scores than old ones, whole groups divided at random."""
    ranks = rankdata(np.concatenate([old, new]))
    rows = divisions.rows()  # (P + 1, N + M)
    count = rows.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        areas = (rows @ ranks - count * (count + 1) / 2) / (count * (len(ranks) - count))
    return share_further(areas)


_CHUNK = 256  # permutations that are worked on at a time


_FOR_MEDIAN = 1000  # vectors whose distances give the median


_SCALES = (0.125, 0.5, 2.0)  # of the median of the squared distances


def mmd(
    x: np.ndarray,
    y: np.ndarray,
    permutations: int,
    rng: np.random.Generator,
    divisions: Divisions | None = None,
) -> tuple[float, float]:
    """Unbiased estimate with a mean of Gaussian kernels, and its permutation test.

    Gretton et al. 2012, "A kernel two-sample test", https://jmlr.org/papers/v13/gretton12a.html, lemma 6
    (the estimate) and section 8 (median heuristic). Encoders put classes into clusters, and the median
    distance is then that between clusters; what changes within them is seen by a narrower kernel. So the
    kernel is the mean of exp(-d² / (s · median of d²)) over some s around 1.

    Args:
        x: (N, D), N > 1.
        y: (M, D), M > 1.
        permutations: Random divisions of all vectors into N and M that the samples' own is compared with.
        rng: Draws them.
        divisions: Groups of these rows, which are divided whole; None if every row is its own.

    Returns:
        MMD, the root of the estimate of MMD² (0 where that is negative), and the p-value, at least
        1 / (permutations + 1).
    """
    kernel = _kernel(np.concatenate([x, y]).astype(np.float64))
    values = np.concatenate(
        [_squared(kernel, drawn) for drawn in _divided(len(x), len(y), permutations, rng, divisions)]
    )
    return float(np.sqrt(max(values[0], 0.0))), share_further(values)


def _divided(
    n: int, m: int, permutations: int, rng: np.random.Generator, divisions: Divisions | None
) -> Iterator[FloatArray]:
    """Draw divisions as (N + M, P) at a time, 1 for a row of the first sample; the first is the true one."""
    if divisions is not None:
        rows = 1 - divisions.rows().T
        yield from np.array_split(rows, range(_CHUNK, rows.shape[1], _CHUNK), axis=1)
        return
    yield np.repeat([[1.0], [0.0]], [n, m], axis=0)
    for start in range(0, permutations, _CHUNK):
        drawn = np.zeros((n + m, min(_CHUNK, permutations - start)))
        for column in range(drawn.shape[1]):
            drawn[rng.permutation(n + m)[:n], column] = 1
        yield drawn


def _kernel(z: np.ndarray) -> np.ndarray:
    """(N, N) with zeros on the diagonal, which the unbiased estimate leaves out."""
    squares = (z**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * z @ z.T, 0)
    step = max(1, len(z) // _FOR_MEDIAN)
    some = distances[::step, ::step]
    some = some[np.triu_indices(len(some), 1)]
    scale = np.median(some) or some.mean() or 1.0  # more than half may be the same vector, or all
    kernel = sum(np.exp(-distances / (scale * factor)) for factor in _SCALES) / len(_SCALES)
    np.fill_diagonal(kernel, 0)
    return kernel


def _squared(kernel: np.ndarray, first: np.ndarray) -> np.ndarray:
    """MMD² for several divisions.

    Args:
        kernel: (N, N).
        first: (N, P), 1 for the vectors of the first sample.
    """
    n = first.sum(axis=0)
    m = len(first) - n
    within = (first * (kernel @ first)).sum(axis=0)
    across = kernel.sum(axis=1) @ first - within
    rest = kernel.sum() - within - 2 * across
    with np.errstate(invalid="ignore", divide="ignore"):  # groups of one row alone on a side
        return np.asarray(within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * across / (n * m))
