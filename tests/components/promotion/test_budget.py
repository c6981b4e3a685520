"""Comparisons spend a budget that fresh rows refill, never more than was promised."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.promotion.budget import YEAR, Budget


def digests(first: int, last: int) -> np.ndarray:
    """Digests of the rows with these numbers, spread like those of braid."""
    return np.random.default_rng(0).integers(0, 2**63, 5000).astype(np.uint64)[first:last]


def test_the_first_comparisons_by_hand() -> None:
    first = Budget().compare(digests(0, 100), "2 and 1")
    assert (first.spent, first.left) == (pytest.approx(1 / 20), pytest.approx(19 / 20))
    assert first.level(0.95) == pytest.approx(0.05 / 2 / 20)
    assert first.sentence == "1st comparison on these rows, 95% of the error budget left"
    second = first.compare(digests(0, 100), "3 and 1")
    assert (second.spent, second.left) == (pytest.approx(0.95 / 20), pytest.approx(0.95**2))
    assert second.sentence == "2nd comparison on these rows, 90% of the error budget left"


def test_a_repeated_comparison_is_paid_for_once() -> None:
    first = Budget().compare(digests(0, 100), "2 and 1")
    assert first.compare(digests(0, 100), "2 and 1") == first
    assert first.compare(digests(50, 150), "2 and 1") != first, "on other rows it is another one"


def test_fresh_rows_give_back_what_comparisons_have_spent() -> None:
    budget = Budget()
    for number in range(14):
        budget = budget.compare(digests(0, 1000), f"{number} and 1")
    assert budget.sentence.startswith("14th comparison on these rows, 49%")
    fresh = budget.compare(digests(1000, 2000), "15 and 1")
    assert fresh.comparisons == 1
    assert fresh.left > budget.left
    assert fresh.left + fresh.refill <= 1


@pytest.mark.parametrize("rows", [100, 4000])
def test_the_share_of_fresh_rows_is_known_of_few_rows_and_estimated_of_many(rows: int) -> None:
    budget = Budget().compare(digests(0, rows), "2 and 1")
    assert len(budget.rows) == min(rows, 128)
    share = budget.fresh(digests(rows // 4, rows + rows // 4))
    assert share == pytest.approx(0.25, abs=0.0 if rows == 100 else 0.15)  # 4 errors of 128
    assert budget.fresh(digests(0, rows)) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4 * YEAR))
def test_no_year_of_comparisons_spends_more_than_it_may(fresh: list[float]) -> None:
    budget, levels = Budget(), []
    for share in fresh:
        budget = budget.spend(share)
        levels.append(budget.level(0.95))
        assert 0 <= budget.left <= 1
    for start in range(len(levels)):
        assert sum(levels[start : start + YEAR]) <= 0.05 + 1e-9


def test_it_travels_as_text_that_a_tag_can_hold() -> None:
    budget = Budget().compare(digests(0, 4000), "17 and 16")
    assert Budget.from_json(budget.to_json()) == budget
    assert len(budget.to_json()) < 5000  # most that MLflow keeps
