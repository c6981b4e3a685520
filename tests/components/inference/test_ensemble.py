"""The delivered model: for each set of inputs the candidate that did best on validation."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from components.inference.ensemble import (
    AVERAGE,
    ENSEMBLE,
    FUSION,
    LATE,
    CandidateEnsemble,
    Embeddings,
    Predicted,
)
from components.inference.selection import calibrate_and_choose, choose
from components.metrics.calibration import fit_temperature
from components.models.fusion import Fusion
from components.models.networks import Fused
from components.targets import AnyTarget, Head, Targets
from tests.components.small_targets import NAME, alone, classes

CLASSES = 3
PRIOR = torch.tensor([0.5, 0.3, 0.2])
NAMES = ("a", "b", "c")
SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(NAMES, size)]


class Sum(Fusion):
    """Embeddings are logits here; the fusion is their sum, the ideal, or with ``sign`` -1 the worst."""

    def __init__(self, sign: float = 1.0, names: tuple[str, ...] = NAMES) -> None:
        super().__init__()
        self.inputs, self.width, self.sign = names, CLASSES, sign

    def forward(self, embeddings: Any, present: Tensor) -> Tensor:
        parts = [
            torch.where(present[:, [column]], embeddings[name], 0.0)
            for column, name in enumerate(self.inputs)
        ]
        return self.sign * torch.stack(parts).sum(0)


def identity(targets: Targets) -> Head:
    head = Head(CLASSES, targets)
    head.load_state_dict({"weight": torch.eye(CLASSES), "bias": torch.zeros(CLASSES)})
    return head


def model(
    sign: float = 1.0, names: tuple[str, ...] = NAMES, fused: bool = True, metric: str = "accuracy"
) -> CandidateEnsemble:
    targets = alone(CLASSES, metric)
    network = Fused(Sum(sign, names), targets)
    network.head = nn.Identity()  # type: ignore[assignment]
    heads = {name: identity(targets) for name in names}
    return CandidateEnsemble(heads, network if fused else None, targets, PRIOR.log()).eval()


def calibrate(
    delivered: CandidateEnsemble,
    embeddings: Embeddings,
    targets: np.ndarray,
    fusion_natural: dict[Any, Tensor] | None = None,
) -> dict[Any, dict[str, float]]:
    """Calibrate and choose; accuracy of every candidate, for each subset with rows, that it went by."""
    predicted = Predicted(
        {name: embeddings.natural(delivered, name, (name,)) for name in delivered.inputs},
        {
            candidate: {
                subset: embeddings.natural(delivered, candidate, subset) for subset in delivered.subsets()
            }
            for candidate in (FUSION, LATE)
            if delivered.fused is not None
        },
        embeddings.present,
    )
    predicted.fused.get(FUSION, {}).update(fusion_natural or {})  # type: ignore[attr-defined]
    values = {NAME: torch.from_numpy(targets)}
    predicted = calibrate_and_choose(delivered, predicted, values, 0.9, np.arange(len(targets)) % 5)
    scores: dict[Any, dict[str, float]] = {}
    for subset in delivered.subsets():
        has = embeddings.present[:, delivered.mask(subset)].all(1)
        for candidate in delivered.candidates(subset) if has.any() else ():
            rows = predicted.take(has.nonzero().squeeze(1))
            natural = delivered.natural(only(delivered), candidate, rows, subset)
            right = natural.argmax(1).numpy() == targets[has.numpy()]
            scores.setdefault(subset, {})[candidate] = right.mean()
    return scores


def only(delivered: CandidateEnsemble) -> AnyTarget:
    return delivered.targets.primary


def choice(delivered: CandidateEnsemble) -> dict[Any, str]:
    return delivered.choices[NAME].candidate


def predict(
    delivered: CandidateEnsemble, embeddings: Embeddings, allowed: tuple[str, ...], **options: Any
) -> Tensor:
    return delivered.predict(only(delivered), embeddings, allowed, **options)


def temperature(delivered: CandidateEnsemble, candidate: str, subset: tuple[str, ...]) -> float:
    return delivered.temperature(only(delivered), candidate, subset)


def rows(
    number: int, seed: int, strengths: tuple[float, ...] = (2.0, 1.0, 0.5), missing: float = 0.2
) -> tuple[Embeddings, np.ndarray]:
    """Embeddings that are the log-likelihoods of inputs which are independent given the class."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, CLASSES, number)
    single = {
        name: torch.from_numpy(
            s * (s * np.eye(CLASSES)[targets] + rng.normal(size=(number, CLASSES)))
        ).float()
        for name, s in zip(NAMES, strengths, strict=True)
    }
    present = torch.from_numpy(rng.random((number, 3)) >= missing)
    return Embeddings(single, single, present), targets


def chosen(sign: float = 1.0, number: int = 600, **options: Any) -> tuple[CandidateEnsemble, dict[Any, Any]]:
    delivered = model(sign)
    embeddings, targets = rows(number, 0, **options)
    return delivered, calibrate(delivered, embeddings, targets)


def test_patterns_are_all_subsets_small_ones_first() -> None:
    assert model().subsets() == SUBSETS


def test_candidates_are_the_singles_what_pools_them_the_fusion_and_an_ensemble() -> None:
    assert model().candidates(("a", "c")) == ["a", "c", AVERAGE, LATE, FUSION, ENSEMBLE]
    assert model().candidates(("b",)) == ["b", FUSION, ENSEMBLE]
    assert model(names=("a",), fused=False).candidates(("a",)) == ["a"]


def test_something_fused_is_chosen_where_there_is_something_to_fuse() -> None:
    delivered, scores = chosen()
    assert choice(delivered)["a", "b", "c"] in (FUSION, AVERAGE, LATE, ENSEMBLE)
    assert scores["a", "b", "c"][FUSION] > scores["a", "b", "c"]["a"]


def test_a_clear_difference_in_the_metric_decides() -> None:
    targets = np.arange(600) % 2
    right = np.where(np.arange(600) % 10 == 0, 1 - targets, targets)  # 90 % right, hardly sure
    better = np.eye(2)[right] * 0.1 + 0.45
    sure = np.eye(2)[np.where(np.arange(600) % 4 == 0, 1 - targets, targets)] * 0.4 + 0.3  # 75 % right
    assert choose(classes(2), {"better": better, "sure": sure}, targets) == "better"


def test_a_difference_of_two_rows_leaves_the_choice_to_the_log_loss() -> None:
    targets = np.arange(160) % 2
    by_luck = (
        np.eye(2)[np.where(np.arange(160) < 16, 1 - targets, targets)] * 0.98 + 0.01
    )  # 144 right, too sure
    honest = np.eye(2)[np.where(np.arange(160) >= 142, 1 - targets, targets)] * 0.76 + 0.12  # 142 right
    assert choose(classes(2), {"lucky": by_luck, "honest": honest}, targets) == "honest"


def test_a_bad_fusion_is_not_delivered() -> None:
    delivered, scores = chosen(sign=-1.0)
    assert FUSION not in choice(delivered).values()
    test, targets = rows(3000, 1, missing=0.0)
    predictions = predict(delivered, test, NAMES)
    best = predict(delivered, test, NAMES, candidate="a")
    right, right_best = ((p.argmax(1).numpy() == targets).mean() for p in (predictions, best))
    # a standard deviation of such a share is .009
    assert right > right_best - 0.03
    assert scores["a", "b", "c"][FUSION] < 0.3


def test_the_choice_may_differ_between_patterns() -> None:
    delivered = model(metric="log_loss")
    embeddings, targets = rows(600, 0, strengths=(3.0, 0.0, 0.0))  # b and c say nothing
    calibrate(delivered, embeddings, targets)
    assert choice(delivered)["a",] in ("a", FUSION, ENSEMBLE)
    assert choice(delivered)["a", "b", "c"] in ("a", FUSION, LATE, ENSEMBLE)
    predictions = predict(delivered, embeddings, ("b", "c"))
    # with nothing to go by the prediction stays open, at most the prior
    assert predictions.amax(1).max() <= 0.5 + 1e-6


def test_equal_metrics_are_told_apart_by_the_log_loss() -> None:
    delivered = model(names=("a", "b"))
    sure, unsure = torch.eye(CLASSES)[[0, 1, 2] * 20] * 4, torch.eye(CLASSES)[[0, 1, 2] * 20] * 4
    unsure[::7] *= 0.01  # right as well, but hardly; no temperature mends that
    both = Embeddings({"a": unsure, "b": sure}, {"a": unsure, "b": sure}, torch.ones(60, 2, dtype=torch.bool))
    scores = calibrate(delivered, both, np.array([0, 1, 2] * 20))
    assert scores["a", "b"]["a"] == scores["a", "b"]["b"] == 1.0
    assert choice(delivered)["a", "b"] != "a"


def test_temperatures_are_fitted_on_the_rows_that_have_the_inputs() -> None:
    delivered, _ = chosen()
    embeddings, targets = rows(600, 0)
    both = embeddings.present[:, :2].all(1).numpy()
    logits = (embeddings.single["a"] + embeddings.single["b"])[both].double().numpy()
    assert temperature(delivered, FUSION, ("a", "b")) == pytest.approx(fit_temperature(logits, targets[both]))
    own = embeddings.present[:, 0].numpy()
    expected = fit_temperature(embeddings.single["a"][own].double().numpy(), targets[own])
    for subset in (("a",), ("a", "b"), NAMES):  # an input's temperature does not depend on the others
        assert temperature(delivered, "a", subset) == pytest.approx(expected)


def test_given_logits_of_the_fusion_are_used_for_choosing() -> None:
    delivered = model()
    embeddings, targets = rows(300, 0, missing=0.0)
    held_out = {NAMES: -embeddings.single["a"]}  # as if the fusion had only seemed to be good
    scores = calibrate(delivered, embeddings, targets, held_out)
    assert scores[NAMES][FUSION] < 0.4
    assert choice(delivered)[NAMES] != FUSION
    assert scores["a", "b"][FUSION] > 0.6


def test_a_pattern_without_validation_rows_is_left_to_the_fusion() -> None:
    delivered = model()
    embeddings, targets = rows(100, 0)
    embeddings.present[:, 2] = False
    scores = calibrate(delivered, embeddings, targets)
    assert choice(delivered)["b", "c"] == choice(delivered)["c",] == FUSION
    assert ("b", "c") not in scores
    assert temperature(delivered, FUSION, ("b", "c")) == 1.0
    assert set(choice(delivered)) == set(SUBSETS)


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy"])
def test_a_validation_of_one_class_still_leads_to_a_choice(metric: str) -> None:
    delivered = model(metric=metric)
    embeddings, _ = rows(50, 0)
    calibrate(delivered, embeddings, np.zeros(50, int))
    assert set(choice(delivered)) == set(SUBSETS)


class TestPredict:
    @given(seed=st.integers(0, 500), allowed=st.sampled_from(SUBSETS))
    @settings(max_examples=25, deadline=None)
    def test_every_row_gets_probabilities_from_what_it_has(self, seed: int, allowed: tuple[str, ...]) -> None:
        delivered, _ = CHOSEN
        embeddings, _ = rows(20, seed, missing=0.5)
        predictions = predict(delivered, embeddings, allowed)
        assert predictions.dtype == torch.float64
        assert torch.isfinite(predictions).all()
        torch.testing.assert_close(predictions.sum(1), torch.ones(20, dtype=torch.float64))
        empty = ~(embeddings.present & delivered.mask(allowed)).any(1)
        torch.testing.assert_close(predictions[empty], PRIOR.double().expand(int(empty.sum()), -1))

    @given(seed=st.integers(0, 500), allowed=st.sampled_from(SUBSETS))
    @settings(max_examples=25, deadline=None)
    def test_what_is_absent_or_not_allowed_does_not_matter(self, seed: int, allowed: tuple[str, ...]) -> None:
        delivered, _ = CHOSEN
        embeddings, _ = rows(20, seed, missing=0.5)
        usable = embeddings.present & delivered.mask(allowed)
        poisoned = {
            name: torch.where(usable[:, [column]], value, torch.nan)
            for column, (name, value) in enumerate(embeddings.single.items())
        }
        predictions = predict(delivered, Embeddings(poisoned, poisoned, embeddings.present), allowed)
        torch.testing.assert_close(predictions, predict(delivered, embeddings, allowed), rtol=0, atol=0)

    def test_a_row_is_scored_alike_alone_and_among_others(self) -> None:
        delivered, _ = CHOSEN
        embeddings, _ = rows(30, 3, missing=0.4)
        whole = predict(delivered, embeddings, NAMES)
        for row in range(30):
            alone = predict(delivered, embeddings.take(torch.tensor([row])), NAMES)
            torch.testing.assert_close(alone[0], whole[row])

    def test_the_average_is_the_mean_of_the_calibrated_probabilities(self) -> None:
        delivered, _ = CHOSEN
        embeddings, _ = rows(10, 4, missing=0.0)
        average = predict(delivered, embeddings, NAMES, candidate=AVERAGE, calibrated=False)
        singles = [predict(delivered, embeddings, NAMES, candidate=name) for name in NAMES]
        torch.testing.assert_close(average, torch.stack(singles).mean(0), rtol=1e-5, atol=1e-6)

    def test_the_average_of_one_input_is_that_input(self) -> None:
        delivered, _ = CHOSEN
        embeddings, _ = rows(10, 4, missing=0.0)
        embeddings.present[:, 1:] = False
        average = predict(delivered, embeddings, NAMES, candidate=AVERAGE)
        torch.testing.assert_close(
            average, predict(delivered, embeddings, NAMES, candidate="a"), rtol=0, atol=0
        )

    def test_a_single_input_answers_only_rows_that_have_it(self) -> None:
        delivered, _ = CHOSEN
        embeddings, _ = rows(50, 5, missing=0.5)
        predictions = predict(delivered, embeddings, NAMES, candidate="b")
        absent = ~embeddings.present[:, 1]
        torch.testing.assert_close(predictions[absent], PRIOR.double().expand(int(absent.sum()), -1))
        expected = embeddings.single["b"].double() / temperature(delivered, "b", ("b",))
        torch.testing.assert_close(predictions[~absent], expected[~absent].softmax(1))

    def test_without_calibration_the_logits_are_as_they_are(self) -> None:
        delivered, _ = CHOSEN
        embeddings, _ = rows(10, 4, missing=0.0)
        predictions = predict(delivered, embeddings, NAMES, candidate=FUSION, calibrated=False)
        expected = torch.stack(list(embeddings.fusion.values())).sum(0).double().softmax(1)
        torch.testing.assert_close(predictions, expected, rtol=1e-6, atol=1e-8)

    def test_no_rows_are_no_rows(self) -> None:
        embeddings, _ = rows(5, 0)
        assert predict(CHOSEN[0], embeddings.take(torch.zeros(0, dtype=torch.int64)), NAMES).shape == (0, 3)


CHOSEN = chosen()


def test_settings_come_back_through_json() -> None:
    delivered, _ = chosen()
    fresh = model()
    fresh.set_settings(json.loads(json.dumps(delivered.settings())))
    assert fresh.choices == delivered.choices
    embeddings, _ = rows(20, 7)
    torch.testing.assert_close(
        predict(fresh, embeddings, NAMES), predict(delivered, embeddings, NAMES), rtol=0, atol=0
    )


def test_a_single_input_needs_no_fusion() -> None:
    delivered = model(names=("a",), fused=False)
    embeddings, targets = rows(100, 0)
    one = Embeddings({"a": embeddings.single["a"]}, {"a": embeddings.single["a"]}, embeddings.present[:, :1])
    calibrate(delivered, one, targets)
    assert choice(delivered) == {("a",): "a"}
    assert predict(delivered, one, ("a",)).shape == (100, 3)
