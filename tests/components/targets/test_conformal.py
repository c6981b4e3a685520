"""Conformal sets hold the truth as often as they say, and say what they hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.targets import AnyTarget, Multilabel, Regression
from components.targets.conformal import abstains, covered, describe, fit_quantile, sizes
from tests.components.small_targets import KINDS, classes, drawn_natural, labels, number

EVERY = ["classification", "ordinal", "multilabel", "regression"]


def drawn(target: AnyTarget, rows: int, heat: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values drawn from distributions, and predictions as sure as ``heat`` says; 1 is right."""
    natural = drawn_natural(target, rows, seed) / 2
    if isinstance(target, Regression):
        natural[:, 1] += 0.5
    truth, rng = target.predict(natural).numpy(), np.random.default_rng(seed)
    if isinstance(target, Regression):
        values = rng.normal(*truth.T)
    elif isinstance(target, Multilabel):
        values = (rng.random(truth.shape) < truth).astype(np.float64)
    else:
        values = (truth.cumsum(1) < rng.random((rows, 1))).sum(1).clip(0, target.width - 1)
    return values, target.predict(natural * torch.tensor(heat)).numpy()


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("heat", [1.0, 3.0], ids=["calibrated", "overconfident"])
@pytest.mark.parametrize("kind", EVERY)
def test_coverage_is_what_was_promised_whatever_the_model(kind: str, heat: float, coverage: float) -> None:
    target = KINDS[kind]
    values, predictions = drawn(target, 4000, heat)
    quantile = fit_quantile(target.nonconformity(values[:2000], predictions[:2000]), coverage)
    rows = np.tile(quantile, (2000, 1))
    share = covered(target, values[2000:], predictions[2000:], rows).mean()
    # 2000 rows for the quantile and 2000 to count: a standard deviation of at most .013 at .8
    assert share > coverage - 0.03
    loose = {"multilabel": 0.1}.get(kind, 0.03)  # a label is there or not: no set lies between
    assert share < coverage + loose


@pytest.mark.parametrize("kind", EVERY)
def test_more_coverage_takes_larger_sets(kind: str) -> None:
    target = KINDS[kind]
    values, predictions = drawn(target, 2000)
    scores = target.nonconformity(values, predictions)
    held = [
        sizes(target, predictions, np.tile(fit_quantile(scores, level), (2000, 1))).mean()
        for level in (0.7, 0.9, 0.99)
    ]
    if kind == "multilabel":  # open where both words are ruled out, too
        assert held[1] < held[2]
    else:
        assert held[0] < held[1] < held[2]


class TestQuantile:
    def test_it_is_the_order_statistic_of_vovk(self) -> None:
        scores = np.random.default_rng(0).permutation(np.arange(1.0, 100))  # 99 rows
        assert fit_quantile(scores, 0.9).tolist() == [90.0]  # ceil(100 * .9)
        assert fit_quantile(scores, 0.905).tolist() == [91.0]

    @pytest.mark.parametrize(("rows", "finite"), [(0, False), (8, False), (9, True)])
    def test_too_few_rows_promise_nothing(self, rows: int, finite: bool) -> None:
        assert np.isfinite(fit_quantile(np.arange(float(rows)), 0.9)).tolist() == [finite]

    def test_each_label_has_its_own(self) -> None:
        scores = np.stack([np.arange(99.0), 10 * np.arange(99.0)], 1)
        assert fit_quantile(scores, 0.9).tolist() == [89.0, 890.0]
        assert fit_quantile(scores[:5], 0.9).tolist() == [np.inf, np.inf]


class TestWords:
    def test_classes_that_cannot_be_ruled_out_are_listed(self) -> None:
        target, p = classes("abc"), np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.34, 0.33, 0.33]])
        q = np.full((3, 1), 0.65)
        assert describe(target, p, q) == ["a", "a|b", "a"]  # the answer itself is always there
        assert sizes(target, p, q).tolist() == [1, 2, 1]
        assert abstains(target, p, q).tolist() == [False, True, False]
        assert covered(target, np.array([0, 1, 1]), p, q).tolist() == [True, True, False]
        assert covered(target, np.array([1, 0, 0]), p, q).tolist() == [False, True, True]

    def test_labels_that_are_open_are_marked(self) -> None:
        target = labels("abc")
        p = np.array([[0.95, 0.6, 0.02], [0.1, 0.05, 0.02], [0.9, 0.97, 0.99]])
        q = np.array([[0.2, 0.7, 0.2]] * 3)  # b: both words stay possible from .3 to .7
        assert describe(target, p, q) == ["a|b?", "none", "a|b|c"]
        assert sizes(target, p, q).tolist() == [1, 0, 0]
        assert abstains(target, p, q).tolist() == [True, False, False]
        middle = np.array([[0.5, 0.05, 0.02]])  # a: neither word is near enough
        assert describe(target, middle, q[:1]) == ["a?"]
        for label in (0.0, 1.0):  # what is left open is held whatever it is
            assert covered(target, np.array([[label, 0, 0]]), middle, q[:1]).all()
        held = covered(target, np.array([[0.0, 1, 1]]), p[:1], q[:1])
        assert held.tolist() == [[False, True, False]]

    def test_numbers_have_an_interval_in_their_unit(self) -> None:
        target, p, q = number(), np.array([[10.0, 2.0], [10.0, 0.5]]), np.array([[1.5], [1.5]])
        assert describe(target, p, q) == ["7 … 13", "9.25 … 10.75"]
        assert sizes(target, p, q).tolist() == [6, 1.5]
        assert abstains(target, p, q).tolist() == [False, False]
        assert covered(target, np.array([13.0, 10.8]), p, q).tolist() == [True, False]

    def test_nothing_is_decided_by_an_infinite_quantile(self) -> None:
        p = np.array([[0.9, 0.1]])
        assert describe(classes("ab"), p, np.array([[np.inf]])) == ["a|b"]
        assert describe(labels("ab"), p, np.array([[np.inf, np.inf]])) == ["a?|b?"]
        assert describe(number(), p, np.array([[np.inf]])) == ["-inf … inf"]
        for target, q in (
            (classes("ab"), [[np.inf]]),
            (labels("ab"), [[np.inf] * 2]),
            (number(), [[np.inf]]),
        ):
            assert abstains(target, p, np.array(q)).all()

    @pytest.mark.parametrize("kind", EVERY)
    def test_no_rows_have_no_sets(self, kind: str) -> None:
        target = KINDS[kind]
        none, q = np.zeros((0, len(target.columns))), np.zeros((0, 1))
        assert describe(target, none, q) == []
        assert sizes(target, none, q).shape == abstains(target, none, q).shape == (0,)


class TestGroups:
    def test_each_group_weighs_the_same_by_hand(self):
        scores = np.array([1.0, 2, 3, 4, 10, 20])
        parts = np.array([0, 0, 0, 0, 1, 2])
        # weights 1/12 four times, then 1/3 each; .5 · (3 + 1) / 3 of them is reached at 10
        assert fit_quantile(scores, 0.5, parts).tolist() == [10.0]

    def test_rows_of_their_own_have_the_quantile_of_all_rows(self):
        scores = np.arange(1.0, 100)
        assert fit_quantile(scores, 0.9, np.arange(99)).tolist() == fit_quantile(scores, 0.9).tolist()

    def test_groups_too_few_for_the_promise_have_their_own_quantile(self):
        scores = np.tile(np.arange(1.0, 101), 3)
        assert fit_quantile(scores, 0.9, np.repeat([0, 1, 2], 100)).tolist() == [90.0]

    def test_a_row_of_a_new_group_is_covered(self):
        # 12 groups of 30 rows; half of the variance of a score is the group's
        rng, covered, naive = np.random.default_rng(0), [], []
        for _ in range(400):
            groups = np.repeat(np.arange(13), 30)
            scores = rng.normal(size=13)[groups] + rng.normal(size=len(groups))
            known = groups < 12
            covered.append((scores[~known] <= fit_quantile(scores[known], 0.9, groups[known])).mean())
            naive.append((scores[~known] <= fit_quantile(scores[known], 0.9)).mean())
        assert np.mean(covered) > 0.9  # standard error .009
        assert np.mean(naive) < 0.89
