"""The metric over time: units chosen by the rows, every row in the period of its own."""

from __future__ import annotations

import numpy as np
import pytest

from components.evaluation.evaluate import evaluate
from components.evaluation.figures import all_figures
from components.evaluation.intervals import Interval
from components.evaluation.over_time import over_time
from components.evaluation.results import Evaluation
from tests.components.small_evaluations import arguments


def share(rows: np.ndarray) -> Interval:
    return Interval(float(rows.mean()), 0.0, 1.0)


def days(start: str, count: int, each: int) -> np.ndarray:
    return np.repeat(np.datetime64(start, "us") + np.arange(count) * np.timedelta64(1, "D"), each)


@pytest.mark.parametrize(
    ("times", "periods"),
    [
        (days("2026-02-02", 28, 5), ["2026-02-02", "2026-02-09", "2026-02-16", "2026-02-23"]),  # Mondays
        (days("2026-01-01", 90, 1), ["2026-01-01", "2026-02-01", "2026-03-01"]),
        (days("2020-01-01", 365 * 3, 5)[::10], ["2020-01-01", "2020-04-01", "2020-07-01"]),
        (days("2026-03-05", 1, 3), ["2026-01-01"]),
    ],
)
def test_the_unit_is_the_shortest_with_enough_rows(times: np.ndarray, periods: list[str]) -> None:
    results = over_time(times, share)
    assert [result.first for result in results][: len(periods)] == periods
    assert sum(result.rows for result in results) == len(times)


def test_each_period_is_measured_on_its_own_rows_in_any_order() -> None:
    times = days("2026-02-02", 14, 5)
    order = np.random.default_rng(0).permutation(70)
    first, second = over_time(times[order], lambda rows: share(order[rows]))
    assert (first.first, first.last, first.rows) == ("2026-02-02", "2026-02-08", 35)
    assert (first.metric.value, second.metric.value) == (np.arange(35).mean(), np.arange(35, 70).mean())


def test_rows_without_times_have_none() -> None:
    assert over_time(None, share) == ()


def test_the_evaluation_shows_the_delivered_model_by_time() -> None:
    given = arguments(inputs=2, rows=200)
    evaluation = evaluate(**given, times_test=days("2026-02-02", 40, 5))
    assert [period.rows for period in evaluation.over_time] == [35, 35, 35, 35, 35, 25]
    weighed = sum(period.rows * period.metric.value for period in evaluation.over_time) / 200
    assert weighed == pytest.approx(evaluation.score.value)
    assert all(
        period.metric.low <= period.metric.value <= period.metric.high for period in evaluation.over_time
    )
    assert Evaluation.from_json(evaluation.to_json()).over_time == evaluation.over_time
    assert len(evaluation.tables()["over_time"].rows) == 6
    assert "over_time" in all_figures(evaluation)
    plain = evaluate(**given)
    assert "over_time" not in plain.tables()
    assert "over_time" not in all_figures(plain)
