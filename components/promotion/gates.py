"""Tests of what a challenger may lose: shown to be within the bound, shown to lose, or undecided."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from components.evaluation.bootstrap import Rivals, paired_replicates
from components.evaluation.replicates import Replicates
from components.metrics.classification import BINNED
from components.promotion.verdict import Check
from components.targets.metrics import higher_is_better
from components.targets.target import FloatArray

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Loss:
    """Estimate of a loss.

    Attributes:
        value: Loss in points of a metric that rises with quality, in shares of an error.
        error: Its standard error; NaN where there is no telling.
        freedom: Degrees of freedom of the error.
    """

    value: float
    error: float
    freedom: float = math.inf


@dataclass(frozen=True)
class Gate:
    """Settings of the tests of all losses of one comparison, which hold together (Bonferroni).

    Attributes:
        confidence: Level of all of them together.
        losses: Number of losses that are looked at.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resamples.
    """

    confidence: float
    losses: int
    resamples: int
    seed: int

    def measure(self, rivals: Rivals, name: str) -> Loss:
        """Estimate what the first of two models loses to the second.

        Errors of calibration grow with the noise of few rows, so what resampling adds to the difference is
        taken off (Davison & Hinkley 1997, section 2.2).

        Args:
            rivals: The challenger as a, the champion as b.
            name: Metric; a calibration error is compared in points.
        """
        binned = name in BINNED
        difference: Replicates = paired_replicates(
            rivals,
            name,
            (lambda new, old: new - old) if binned else lambda new, old: loss(name, old, new),
            self.resamples,
            self.seed,
            few=1 if binned else None,
        )
        if not len(difference.defined):
            return Loss(math.nan, math.nan)
        return Loss(difference.value - binned * difference.bias, difference.error, difference.parts - 1)

    def check(self, name: str, lost: Loss, bound: float, note: str) -> Check:
        """Test a loss against its bound, for non-inferiority (Wellek 2010).

        With enough rows to show it, the upper end of the interval must not exceed the bound. With fewer, a
        challenger fails only if it is shown to lose and lost more than the bound; else nothing is decided,
        which does not stand in its way.

        Args:
            name: Name of the check.
            lost: The loss.
            bound: Most that may be lost.
            note: What was compared.
        """
        if math.isnan(lost.value):
            return Check(name, math.nan, bound, True, note)
        reach = lost.error
        if not math.isnan(lost.error) and lost.error > 0:
            reach = float(stats.t.ppf(1 - (1 - self.confidence) / self.losses, lost.freedom)) * lost.error
        low, high = lost.value - reach, lost.value + reach
        if high <= bound + _ROUNDING:
            return Check(name, lost.value, bound, True, note)
        is_shown = low > 0 and lost.value > bound
        between = f"{note}, between {low:+.3f} and {high:+.3f}"
        if 2 * reach <= bound + _ROUNDING or is_shown:
            return Check(name, lost.value, bound, False, between)
        return Check(name, lost.value, bound, True, f"{between}: too few rows to decide", undecided=True)


def loss(name: str, champion: FloatArray | float, challenger: FloatArray | float) -> FloatArray:
    """Measure how much worse the challenger is: in points of a metric that rises, in shares of an error."""
    old, new = np.asarray(champion, np.float64), np.asarray(challenger, np.float64)
    if higher_is_better(name):
        return np.asarray(old - new)
    return np.asarray((new - old) / np.maximum(np.abs(old), 1e-12))
