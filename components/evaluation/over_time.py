"""A metric over time: one value with its interval per week, month, quarter or year of the rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.evaluation.intervals import Interval, Stored

_UNITS = ("W", "M", "Q", "Y")  # weeks begin on Monday
_ENOUGH = 30  # rows of a period
_MOST = 60  # periods


@dataclass(frozen=True)
class PeriodResult(Stored):
    """The delivered model on the test rows of one period; `first` and `last` are its days."""

    first: str
    last: str
    rows: int
    metric: Interval


def over_time(
    times: NDArray[np.datetime64] | None, score: Callable[[NDArray[np.intp]], Interval]
) -> tuple[PeriodResult, ...]:
    """Measure a metric in each period that has rows, in the shortest unit in which most periods have enough.

    Args:
        times: (N,) times of the test rows; None where they have none.
        score: Gives the metric over some of the rows.
    """
    if times is None or not len(times):
        return ()
    series = pd.Series(times)
    for unit in _UNITS:
        periods = series.dt.to_period(unit)
        counts = periods.value_counts()
        if unit == _UNITS[-1] or (counts.median() >= _ENOUGH and len(counts) <= _MOST):
            break
    return tuple(
        PeriodResult(
            str(period.start_time.date()), str(period.end_time.date()), len(rows), score(rows.to_numpy())
        )
        for period, rows in series.index.to_series().groupby(periods)
    )
