"""Many tests, one chance of a false alarm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
