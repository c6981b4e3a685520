"""A statistic on all rows and on reweighted rows, from which its standard error follows.

Rows that hang together are one part (:mod:`components.data.parts`), and parts are drawn whole. With many
parts they are drawn with replacement (cluster bootstrap, Davison & Hinkley 1997, section 3.8). With few, each
is left out once (delete-a-group jackknife, Tukey 1958; "CV3" of MacKinnon, Nielsen & Webb 2023), with
Student's t for the number of parts. A bootstrap of ten parts would be too narrow.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from components.targets.target import FloatArray, Scorer

Parts = NDArray[np.int64]
FEW = 100  # parts up to which each is left out once
# Weights per block, 16 MB: small enough for the CPU's cache, large enough for NumPy to be efficient.
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Replicates:
    """A statistic with its replicates.

    Attributes:
        value: The statistic on all rows.
        draws: (R,) replicates, NaN where one is not defined.
        parts: Number of independent parts.
        jackknife: True if each replicate leaves one part out, False if parts were drawn with replacement.
    """

    value: float
    draws: FloatArray
    parts: int
    jackknife: bool

    @property
    def defined(self) -> FloatArray:
        """The replicates that are defined."""
        return self.draws[np.isfinite(self.draws)]

    @property
    def error(self) -> float:
        """Standard error; NaN with fewer than two parts."""
        draws = self.defined
        if self.parts < 2 or len(draws) < 2:
            return float("nan")
        spread = float(draws.var())
        error = spread * (len(draws) - 1) if self.jackknife else spread * self.parts / (self.parts - 1)
        return float(np.sqrt(error))

    @property
    def bias(self) -> float:
        """Mean by which the statistic exceeds that of ever more rows."""
        excess = float(self.defined.mean()) - self.value
        return (self.parts - 1) * excess if self.jackknife else excess

    def quantile(self, confidence: float) -> float:
        """Standard errors to either side of the value in an interval of this level."""
        return float(stats.t.ppf((1 + confidence) / 2, self.parts - 1))

    def combine(
        self, other: "Replicates", function: Callable[[FloatArray, FloatArray], FloatArray]
    ) -> "Replicates":
        """Compute a function of two statistics on the same rows and replicates."""
        value = function(np.array([self.value]), np.array([other.value]))[0]
        return Replicates(float(value), function(self.draws, other.draws), self.parts, self.jackknife)


def replicate(
    score: Scorer, rows: int, parts: Parts | None, resamples: int, seed: int, few: int = FEW
) -> dict[str, Replicates]:
    """Compute metrics on all rows and on replicates.

    Two calls with the same rows, parts, resamples and seed reweight in the same way.

    Args:
        score: Metrics by row weights.
        rows: N.
        parts: (N,) number of the part of each row; None if each row is its own.
        resamples: Number of draws where there are more parts than ``few``.
        seed: Seed of the draws.
        few: Number of parts up to which each is left out once.
    """
    if parts is not None:  # some rows of a table may be of some of its parts
        parts = np.unique(parts, return_inverse=True)[1]
    count = rows if parts is None else int(parts.max()) + 1
    whole = score(np.ones((rows, 1)))
    jackknife = count <= few
    drawn = _left_out(count) if jackknife else _drawn(count, rows, resamples, seed)
    blocks = [score(weights if parts is None else weights[parts]) for weights in drawn]
    return {
        name: Replicates(float(value[0]), np.concatenate([b[name] for b in blocks]), count, jackknife)
        for name, value in whole.items()
    }


def mean_replicates(each: Sequence[Replicates]) -> Replicates:
    """Average a statistic over repetitions of a training on the same rows; the luck of the rows stays.

    Repetitions on unlike rows share no replicates. Then the average has the widest of them.
    """
    value = float(np.mean([one.value for one in each]))
    widest = max(each, key=lambda one: one.error)
    if len({(one.parts, len(one.draws)) for one in each}) > 1:
        return replace(widest, value=value, draws=widest.draws - widest.value + value)
    return replace(widest, value=value, draws=np.mean([one.draws for one in each], axis=0))


def _left_out(parts: int) -> Iterator[FloatArray]:
    """Leave out each part once: weights (parts, parts)."""
    if parts > 1:
        yield 1 - np.eye(parts)
    else:
        yield np.ones((1, 1))


def _drawn(parts: int, rows: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Draw how often each part occurs in each resample: (parts, R) at a time, `resamples` columns in all.

    Each resample has its own generator, so that the first of them do not depend on how many follow.
    """
    width = max(1, min(resamples, _CHUNK // rows))
    for start in range(0, resamples, width):
        yield _weights(parts, seed, start, min(start + width, resamples))


@lru_cache(maxsize=4)  # 16 MB each; the points of a curve use the same draws
def _weights(parts: int, seed: int, start: int, stop: int) -> FloatArray:
    weights = np.empty((parts, stop - start))
    for column, number in enumerate(range(start, stop)):
        own = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(number,)))
        weights[:, column] = np.bincount(np.random.Generator(own).integers(0, parts, parts), minlength=parts)
    weights.flags.writeable = False
    return weights
