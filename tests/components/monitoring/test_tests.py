"""Each test of monitoring: right about chance where nothing has changed, and about what has."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp, kstest

from components.monitoring.permutation import Divisions, rise
from components.monitoring.statistics import categories, domain_auc, holm, labels, mmd, numbers, psi, rates

RUNS = 60


def gaussians(rows: int, width: int, seed: int, shift: float = 0.0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    vectors[:, 0] += shift
    return vectors


class TestMmd:
    def test_it_is_the_mean_over_all_pairs(self) -> None:
        x, y = gaussians(12, 3, 0), gaussians(9, 3, 1, 1.0)
        z = np.concatenate([x, y])
        squares = cdist(z, z, "sqeuclidean")
        median = np.median(squares[np.triu_indices(len(z), 1)])
        k = sum(np.exp(-squares / (median * s)) for s in (0.125, 0.5, 2.0)) / 3
        pairs = [[k[i, j] for i in a for j in b if i != j] for a, b in (
            (range(12), range(12)), (range(12, 21), range(12, 21)), (range(12), range(12, 21)))]  # fmt: skip
        expected = np.mean(pairs[0]) + np.mean(pairs[1]) - 2 * np.mean(pairs[2])
        assert expected > 0
        assert mmd(x, y, 99, np.random.default_rng(0))[0] == pytest.approx(np.sqrt(expected), rel=1e-9)

    def test_chances_are_uniform_where_nothing_has_changed(self) -> None:
        chances = [
            mmd(gaussians(40, 4, 2 * run), gaussians(25, 4, 2 * run + 1), 99, np.random.default_rng(run))[1]
            for run in range(RUNS)
        ]
        assert kstest(chances, "uniform").pvalue > 0.01  # fixed seeds: this holds or it does not
        assert np.mean(np.array(chances) <= 0.05) <= 0.12

    def test_a_shift_is_found_and_a_change_within_clusters_too(self) -> None:
        rng = np.random.default_rng(0)
        assert mmd(gaussians(200, 8, 0), gaussians(200, 8, 1, 1.0), 499, rng)[1] == 1 / 500
        centres = np.array([[0.0, 6.0], [6.0, 0.0]])
        x, y = (centres[rng.integers(0, 2, 200)] + rng.normal(size=(200, 2)) * spread for spread in (1, 2))
        assert mmd(x, y, 499, rng)[1] <= 0.01

    @pytest.mark.parametrize("rows", [np.zeros((30, 4)), np.repeat(np.eye(4)[:2], [28, 2], axis=0)])
    def test_vectors_that_are_nearly_all_the_same_are_no_difference(self, rows: np.ndarray) -> None:
        effect, chance = mmd(rows, rows.copy(), 99, np.random.default_rng(0))
        assert effect == 0
        assert chance > 0.5


class TestClassifier:
    def test_chances_are_no_smaller_than_uniform_where_nothing_has_changed(self) -> None:
        chances = np.array(
            [domain_auc(gaussians(60, 6, 2 * run), gaussians(40, 6, 2 * run + 1), run) for run in range(RUNS)]
        )
        assert abs(chances[:, 0].mean() - 0.5) < 0.03
        for level in (0.01, 0.05, 0.2):
            # twice the mean of five p-values is below a level more rarely than the level says
            assert np.mean(chances[:, 1] <= level) <= level

    def test_a_shift_is_found_with_the_area_that_it_has(self) -> None:
        area, chance = domain_auc(gaussians(500, 6, 0), gaussians(400, 6, 1, 1.5), 0)
        assert area == pytest.approx(0.856, abs=0.03)  # the normal distribution function at 1.5 / sqrt 2
        assert chance < 1e-10

    def test_many_dimensions_and_few_rows_are_no_difference(self) -> None:
        area, chance = domain_auc(gaussians(30, 200, 0), gaussians(30, 200, 1), 0)
        assert area < 0.7
        assert chance > 0.05


class TestColumns:
    def test_numbers_by_scipy_and_by_hand(self) -> None:
        old, new = gaussians(300, 1, 0)[:, 0], gaussians(200, 1, 1, 0.5)[:, 0]
        edges = [-np.inf, *np.quantile(old, np.arange(1, 10) / 10), np.inf]
        p, q = ((np.histogram(each, edges)[0] + 0.5) / (len(each) + 5) for each in (old, new))
        moved = numbers(old, new)
        assert moved.effect == pytest.approx(np.sum((q - p) * np.log(q / p)), rel=1e-9)
        assert moved.p == ks_2samp(old, new, method="asymp").pvalue < 1e-4

    def test_empty_cells_are_a_change_of_their_own(self) -> None:
        old, new = gaussians(200, 1, 0)[:, 0], gaussians(200, 1, 1)[:, 0]
        before = numbers(old, new)
        new[:80] = np.nan
        moved = numbers(old, new)
        assert moved.effect > before.effect + 1
        assert moved.p == pytest.approx(2 * fisher_exact([[0, 200], [80, 120]]).pvalue)
        assert numbers(np.full(30, np.nan), np.full(30, np.nan)).p == 1
        assert numbers(np.full(30, np.nan), np.arange(30.0)).p < 1e-6

    def test_a_number_that_is_always_the_same_has_not_moved(self) -> None:
        assert numbers(np.zeros(50), np.zeros(40)).p == 1
        assert numbers(np.zeros(50), np.zeros(40)).effect == pytest.approx(
            0, abs=1e-3
        )  # half a row in each bin
        assert numbers(np.zeros(50), np.ones(40)).effect > 1

    def test_categories_by_scipy_and_by_hand(self) -> None:
        old, new = ["a"] * 50 + ["b"] * 30 + [None] * 20, ["a"] * 20 + ["b"] * 60 + [None] * 20
        table = np.array([[50, 30, 20], [20, 60, 20]])
        p, q = ((row + 0.5) / (row.sum() + 1.5) for row in table)
        moved = categories(old, new)
        assert moved.p == pytest.approx(chi2_contingency(table, correction=False).pvalue)
        assert moved.effect == pytest.approx(np.sum((q - p) * np.log(q / p)))

    def test_rare_categories_are_counted_together(self) -> None:
        names = [f"name {row}" for row in range(400)]
        assert categories(names[:200], names[200:]).p == 1, "every name is new, as every name always was"
        table = [[150, 50], [50, 150]]
        moved = categories(["a"] * 150 + names[:50], ["a"] * 50 + names[50:200])
        assert moved.p == pytest.approx(fisher_exact(table).pvalue)

    def test_of_labels_the_one_that_moved_farthest_counts(self) -> None:
        old = [["red"], ["red", "big"], ["big"], []] * 25
        new = [["red"], ["red"], ["red", "big"], []] * 25
        moved = labels(old, new)
        chances = [fisher_exact([[50, 50], [count, 100 - count]]).pvalue for count in (75, 25)]
        assert moved.p == pytest.approx(2 * min(chances))
        assert moved.effect == pytest.approx(psi([50, 50], [75, 25]))
        assert labels([[]] * 30, [[]] * 30).p == 1

    def test_a_rate_may_be_asked_to_rise(self) -> None:
        half, tenth, few = (np.arange(100) < count for count in (50, 10, 1))
        assert rates(half, tenth).p < 1e-6
        assert rates(half, tenth, "greater").p > 0.99
        assert rates(few, np.arange(100) < 31).effect == pytest.approx(0.3)

    @pytest.mark.parametrize("kind", ["numbers", "categories"])
    def test_chances_are_no_smaller_than_uniform_where_nothing_has_changed(self, kind: str) -> None:
        rng, chances = np.random.default_rng(0), []
        for _ in range(400):
            old, new = rng.normal(size=80), rng.normal(size=60)
            if kind == "categories":
                old, new = ([f"{cell:.0f}" for cell in each] for each in (old, new))
                chances.append(categories(old, new).p)
            else:
                chances.append(numbers(old, new).p)
        assert np.mean(np.array(chances) <= 0.05) <= 0.08  # 3 standard errors of 400 draws


def test_holm_by_hand() -> None:
    # (m - rank) times each in order, never below the one before: .01*4, .013*3, .03*2, .2
    assert holm([0.03, 0.01, 0.2, 0.013]) == pytest.approx([0.06, 0.04, 0.2, 0.04])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_keeps_the_chance_of_any_false_alarm_also_where_tests_agree() -> None:
    rng = np.random.default_rng(0)
    common = rng.random((2000, 1))
    for chances in (rng.random((2000, 10)), np.repeat(common, 10, axis=1)):
        alarms = np.mean([min(holm(row.tolist())) <= 0.05 for row in chances])
        assert alarms <= 0.065  # 3 standard errors of 2000 draws


Batches = tuple[np.ndarray, list[str]]


def batches(rng: np.random.Generator, groups: int, shift: float = 0.0) -> Batches:
    """Vectors (40 per group, 6) whose groups have a tenth of the variance, and the groups' names."""
    names = np.repeat(np.arange(groups), 40)
    effects = rng.normal(0, np.sqrt(0.1), (groups, 6))
    vectors = effects[names] + rng.normal(0, np.sqrt(0.9), (len(names), 6)) + shift
    return vectors, [f"batch {name}" for name in names]


def all_tests(old: Batches, new: Batches, whole: bool) -> list[float]:
    """p-values of every kind of test for two sets of batches."""
    (x, first), (y, second) = old, new
    divisions = Divisions.of(first, second, 99, seed=0) if whole else None
    words = [[f"{cell:.0f}" for cell in each[:, 1]] for each in (x, y)]
    tags = [[["a"] * int(row[2] > 0) + ["b"] * int(row[3] > 0) for row in each] for each in (x, y)]
    return [
        numbers(x[:, 0], y[:, 0], divisions=divisions).p,
        categories(*words, divisions=divisions).p,
        labels(*tags, divisions=divisions).p,
        rates(x[:, 4] > 0, y[:, 4] > 0, divisions=divisions).p,
        mmd(x, y, 99, np.random.default_rng(0), divisions)[1],
        domain_auc(x, y, 0, divisions)[1],
    ]


def test_batches_of_the_same_population_give_no_alarm_more_often_than_the_level() -> None:
    rng = np.random.default_rng(0)
    chances: dict[bool, list[list[float]]] = {True: [], False: []}  # by whether batches stay whole
    for _ in range(20):
        old, new = batches(rng, 12), batches(rng, 5)
        for whole, each in chances.items():
            each.append(all_tests(old, new, whole))
    alarms = {whole: np.array(each) <= 0.05 for whole, each in chances.items()}
    assert (alarms[True].mean(axis=0) <= 0.2).all(), "3 standard errors of 20 draws"
    assert alarms[False].any(axis=1).mean() >= 0.7, "rows of a batch taken for independent"


def test_a_shift_of_whole_batches_is_found() -> None:
    rng = np.random.default_rng(1)
    p = all_tests(batches(rng, 12), batches(rng, 5, shift=1.5), whole=True)
    assert max(p[0], p[1], p[3], p[4]) <= 0.02
    assert p[2] <= 0.04  # of two labels
    assert p[5] <= 0.1  # twice the mean of two folds, of 2 or 3 new batches each


def test_divisions_by_hand() -> None:
    # 2 old groups and 1 new one: three divisions, of which only the true one has all ones in the new group
    divisions = Divisions.of(["a", "a", "b"], ["c", "c"], 2999, seed=0)
    p = divisions.p_value(np.array([0, 0, 0]), np.array([1, 1]), rise)
    assert divisions.possible == 3
    assert p == pytest.approx(1 / 3, abs=0.03)
    alone = Divisions.of([None, None], [None], 10, seed=0)
    assert alone.sizes == (2, 1)
