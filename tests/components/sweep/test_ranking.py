"""Rivals that fusions are measured against, and intervals of the measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.evaluation.bootstrap import Rivals, mean_gain, paired_gain
from components.evaluation.intervals import Interval
from components.inference.ensemble import CandidateEnsemble, Embeddings
from components.sweep.ranking import over_seeds
from components.sweep.score import ideal
from components.targets import Classification, Head, Targets

TARGET = Classification(name="label", metric="accuracy", classes=("a", "b", "c"))


def test_the_product_rule_is_the_normalised_product_of_posteriors_over_surplus_priors() -> None:
    torch.manual_seed(0)
    targets = Targets((TARGET,))
    prior = torch.tensor([0.5, 0.3, 0.2])
    model = CandidateEnsemble(
        {name: Head(4, targets) for name in ("x", "y")}, None, targets, prior.log()
    ).eval()
    model.choices["label"].temperatures = {"x": {("x",): 2.0}, "y": {("y",): 0.5}}
    vectors = {name: torch.randn(4, 4) for name in ("x", "y")}
    present = torch.tensor([[True, True], [True, False], [False, True], [False, False]])
    result = ideal(model, TARGET, Embeddings(vectors, vectors, present))
    with torch.no_grad():
        x = (model.heads["x"](vectors["x"]).double() / 2.0).softmax(1)
        y = (model.heads["y"](vectors["y"]).double() / 0.5).softmax(1)
    both = x[0] * y[0] / prior.double()
    expected = torch.stack([both / both.sum(), x[1], y[2], prior.double()])
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)  # the prior is kept in float32


def test_the_interval_over_seeds_is_students() -> None:
    result = over_seeds([Interval(value, 0, 1) for value in (0.7, 0.8, 0.9)], 0.95)
    assert result.value == pytest.approx(0.8)
    assert result.high - result.value == pytest.approx(4.3027 * 0.1 / np.sqrt(3), rel=1e-4)  # t(0.975, 2)
    assert over_seeds([Interval(0.7, 0.6, 0.8)], 0.95) == Interval(0.7, 0.6, 0.8)


def test_the_mean_gain_over_seeds_keeps_the_luck_of_the_shared_rows() -> None:
    random = np.random.default_rng(0)
    values = random.integers(0, 3, 200)
    right = np.eye(3)[values] * 0.8 + 0.2 / 3

    def spoilt(share: float) -> np.ndarray:
        wrong = random.random(200) < share
        return np.where(wrong[:, None], np.roll(right, 1, axis=1), right)

    a, b = spoilt(0.1), spoilt(0.3)
    once = paired_gain(TARGET, values, a, b, "accuracy", 500)
    twice = mean_gain([Rivals(TARGET, values, a, b)] * 2, "accuracy", 500)
    assert twice == once, "the same result again says nothing new"
    other = Rivals(TARGET, values, spoilt(0.1), spoilt(0.3))
    both = mean_gain([Rivals(TARGET, values, a, b), other], "accuracy", 500)
    alone = paired_gain(TARGET, values, other.predictions_a, other.predictions_b, "accuracy", 500)
    assert both.value == pytest.approx((once.value + alone.value) / 2)
