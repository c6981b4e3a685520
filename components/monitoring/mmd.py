"""Maximum mean discrepancy: how far apart two samples of vectors are, and whether chance explains it."""

from __future__ import annotations

import numpy as np

_CHUNK = 256  # permutations that are worked on at a time
_FOR_MEDIAN = 1000  # vectors whose distances give the median
_SCALES = (0.125, 0.5, 2.0)  # of the median of the squared distances


def mmd(x: np.ndarray, y: np.ndarray, permutations: int, rng: np.random.Generator) -> tuple[float, float]:
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

    Returns:
        MMD, the root of the estimate of MMD² (0 where that is negative), and the p-value, at least
        1 / (permutations + 1).
    """
    kernel = _kernel(np.concatenate([x, y]).astype(np.float64))
    n, total = len(x), len(x) + len(y)
    own = np.zeros((total, 1))
    own[:n] = 1
    found = _squared(kernel, own)[0]
    further = 0
    for start in range(0, permutations, _CHUNK):
        count = min(_CHUNK, permutations - start)
        drawn = np.zeros((total, count))
        for column in range(count):
            drawn[rng.permutation(total)[:n], column] = 1
        further += int((_squared(kernel, drawn) >= found - 1e-12).sum())
    return float(np.sqrt(max(found, 0.0))), (1 + further) / (1 + permutations)


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
    n = first[:, 0].sum()
    m = len(first) - n
    within = (first * (kernel @ first)).sum(axis=0)
    across = kernel.sum(axis=1) @ first - within
    rest = kernel.sum() - within - 2 * across
    return within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * across / (n * m)
