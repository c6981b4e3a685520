"""Error that promotions of one model name may spend: comparisons cost some of it, fresh rows give it back.

Every comparison on the same test rows is another chance of luck. So a comparison is made at a level of its
own (alpha spending, Lan & DeMets 1983), and what is spent is remembered with the model's name. Half of
1 - confidence is there at the start. A comparison spends a twentieth of what is left. Fresh rows give back
their share of what was spent, as in online testing with decaying memory (Ramdas et al. 2017,
https://arxiv.org/abs/1710.00499); per 52 comparisons at most as much again. Whatever the comparisons have to
do with each other, any 52 in a row together spend at most 1 - confidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from components.evaluation.intervals import Stored

Digests = NDArray[np.uint64]
YEAR = 52  # weekly comparisons
_SHARE = 1 / 20  # of what is left, per comparison
_KEPT = 128  # digests that stand for the rows (bottom-k sketch, Cohen & Kelley 2007)


@dataclass(frozen=True)
class Budget(Stored):
    """Rest of the error that promotions of one model name may spend.

    Attributes:
        left: Share of the budget that is left, from 0 to 1.
        spent: Share that the last comparison spent.
        refill: Share that fresh rows may give back; with `left` at most 1.
        comparisons: Number of comparisons on the rows of the last one.
        rows: Smallest digests of these rows, in hexadecimal digits.
        pair: The two models of the last comparison.
    """

    left: float = 1.0
    spent: float = 0.0
    refill: float = 0.0
    comparisons: float = 0.0
    rows: tuple[str, ...] = ()
    pair: str = ""

    def compare(self, digests: Digests, pair: str) -> Budget:
        """Pay for a comparison; the same one again, as after a retry, costs nothing.

        Args:
            digests: (N,) digests of the compared rows.
            pair: The two models.
        """
        fresh = self.fresh(digests)
        if pair == self.pair and fresh == 0:
            return self
        rows = tuple(f"{digest:016x}" for digest in np.sort(digests)[:_KEPT].tolist())
        return replace(self.spend(fresh), rows=rows, pair=pair)

    def spend(self, fresh: float) -> Budget:
        """Pay for a comparison of which this share of rows is fresh."""
        back = min(fresh, self.refill, 1 - self.left)
        left = self.left + back
        refill = min(self.refill - back + 1 / YEAR, 1 - left)
        spent = left * _SHARE
        return replace(
            self,
            left=left - spent,
            spent=spent,
            refill=refill,
            comparisons=self.comparisons * (1 - fresh) + 1,
        )

    def fresh(self, digests: Digests) -> float:
        """Estimate the share of rows that the last comparison did not have."""
        known = np.array([int(digest, 16) for digest in self.rows], np.uint64)
        if not len(known):
            return 1.0
        # Of more rows than are kept, those up to the largest kept digest are a sample of both.
        looked = digests[digests <= known.max()] if len(known) == _KEPT else digests
        return float((~np.isin(looked, known)).mean()) if len(looked) else 1.0

    def level(self, confidence: float) -> float:
        """Chance of a false promotion that the last comparison was allowed."""
        return self.spent * (1 - confidence) / 2

    @property
    def sentence(self) -> str:
        """For people: ``14th comparison on these rows, 49% of the error budget left``."""
        number = round(self.comparisons)
        suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
        return f"{number}{suffix} comparison on these rows, {self.left:.0%} of the error budget left"
