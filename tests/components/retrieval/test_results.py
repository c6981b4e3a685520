"""Retrieval metrics on examples small enough to count by hand, with ties, and what chance gives."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from components.metrics.retrieval import chance_levels, score_rankings
from components.retrieval.results import Retrievals, retrieval

OPTIONS = {"resamples": 200, "confidence": 0.95, "seed": 0}


def test_a_gallery_of_four_by_hand() -> None:
    similarity = np.array([[0.9, 0.8, 0.7, 0.1], [0.9, 0.8, 0.7, 0.1]])
    right = np.array([[False, True, False, True], [True, False, False, False]])
    rankings = score_rankings(similarity, right)
    assert rankings.recall[1].tolist() == [0, 1]
    assert rankings.recall[5].tolist() == [1, 1]
    assert rankings.rank.tolist() == [2, 1]
    assert rankings.average_precision.tolist() == pytest.approx([(1 / 2 + 2 / 4) / 2, 1])


def test_equal_similarities_are_a_random_order() -> None:
    # the nearest three are equal and two of them right: the first is right in 2 of 3 orders
    similarity = np.array([[0.5, 0.5, 0.5, 0.1]])
    right = np.array([[True, False, True, False]])
    rankings = score_rankings(similarity, right)
    assert rankings.recall[1][0] == pytest.approx(2 / 3)
    ranks = [1 + [right[0][sample] for sample in order].index(True) for order in permutations(range(3))]
    assert rankings.rank[0] == pytest.approx(np.mean(ranks))
    assert rankings.average_precision[0] == pytest.approx(2 / 3)


def test_rounding_of_float32_makes_no_order() -> None:
    rankings = score_rankings(np.array([[0.3, np.nextafter(0.3, 1)]]), np.array([[True, False]]))
    assert rankings.recall[1][0] == pytest.approx(0.5)


def test_average_precision_is_scikit_learns_with_and_without_ties() -> None:
    rng = np.random.default_rng(0)
    similarity = rng.integers(0, 6, (20, 15)) / 10
    right = rng.random((20, 15)) < 0.3
    right[:, 0] = True
    expected = [average_precision_score(r, s) for r, s in zip(right, similarity, strict=True)]
    np.testing.assert_allclose(score_rankings(similarity, right).average_precision, expected)


@pytest.mark.parametrize("counts", [[1], [2], [1, 3, 5]])
def test_chance_is_the_mean_over_all_orders(counts: list[int]) -> None:
    size = 6
    every = np.array(list(permutations(range(size))), float)  # 720 orders
    levels: dict[str, list[float]] = {}
    ranks = []
    for count in counts:
        right = np.broadcast_to(np.arange(size) < count, every.shape)
        rankings = score_rankings(every, right)
        ranks.append(rankings.rank)
        for k, recall in rankings.recall.items():
            levels.setdefault(f"recall_{k}", []).append(recall.mean())
        levels.setdefault("mean_average_precision", []).append(rankings.average_precision.mean())
    chance = chance_levels(size, np.array(counts))
    for name, values in levels.items():
        assert chance[name] == pytest.approx(np.mean(values)), name
    ordered = np.sort(np.concatenate(ranks))
    assert chance["median_rank"] == ordered[(len(ordered) - 1) // 2]


def test_chance_of_one_right_row_is_k_of_the_gallery() -> None:
    chance = chance_levels(1000, np.ones(7, int))
    assert [chance[f"recall_{k}"] for k in (1, 5, 10)] == pytest.approx([0.001, 0.005, 0.01])
    assert chance["median_rank"] == 500
    assert chance_levels(1000, np.full(7, 100))["recall_1"] == pytest.approx(0.1)


def test_a_model_that_finds_all_alike_is_at_chance() -> None:
    flat = np.ones((40, 3)) / np.sqrt(3)
    labels = np.arange(40)
    result = retrieval("a", "b", "row", flat, flat, labels, labels, **OPTIONS)
    assert result is not None
    for name in ("recall_1", "recall_5", "recall_10"):
        assert result.metrics[name].value == pytest.approx(result.chance[name])
    assert result.metrics["median_rank"].value == 20.5


def test_queries_without_a_right_answer_are_left_out_and_perfect_search_is_not_certain() -> None:
    space = np.eye(6)
    result = retrieval("a", "b", "row", space, space[:4], np.arange(6), np.arange(4), **OPTIONS)
    assert result is not None
    assert (result.queries, result.rows) == (4, 4)
    recall = result.metrics["recall_1"]
    assert (recall.value, recall.high) == (1, 1)
    assert recall.low == pytest.approx(0.025 ** (1 / 4))
    assert retrieval("a", "b", "row", space, space, np.arange(6), np.arange(6) + 9, **OPTIONS) is None


def test_the_interval_is_over_queries() -> None:
    rng = np.random.default_rng(0)
    space = rng.normal(size=(200, 4))
    space /= np.linalg.norm(space, axis=1, keepdims=True)
    noisy = space + rng.normal(0, 0.5, space.shape)
    labels = rng.integers(0, 2, 200)
    result = retrieval("a", "b", "class", space, noisy, labels, labels, **{**OPTIONS, "resamples": 1000})
    assert result is not None
    recall = result.metrics["recall_1"]
    error = np.sqrt(recall.value * (1 - recall.value) / 200)
    assert recall.high - recall.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert result.name == "a_to_b_class"
    whole = Retrievals("clip", "features", 4, "test", 0.95, 1000, 0, (result,))
    assert Retrievals.from_json(whole.to_json()) == whole
