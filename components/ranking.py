"""How candidates are ranked: by the chosen metric, then by their log loss."""

from __future__ import annotations

import math

from components.evaluation.metrics import higher_is_better


def rank(metric_name: str, value: float, log_loss: float) -> tuple[float, float]:
    """A key for ``max``: the better candidate has the larger one.

    Where the metric is not defined on the rows (NaN; it is so for all candidates then), the log loss decides.
    """
    sign = 1 if higher_is_better(metric_name) else -1
    return (0.0 if math.isnan(value) else sign * value, -log_loss)
