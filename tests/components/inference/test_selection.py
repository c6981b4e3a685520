"""Choice by rows that nothing has learned from: ensembles in bags, conformal sets for each subset."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.config.targets import Threshold
from components.inference.ensemble import FUSION, LATE, CandidateEnsemble, Predicted
from components.inference.selection import calibrate_and_choose, combine
from components.models.fusion import Fusion
from components.models.networks import Fused
from components.targets import Head, Multilabel, Targets, metric
from components.targets.conformal import covered
from tests.components.small_targets import NAME, alone

TARGETS = alone(3)
TARGET = TARGETS.primary
BOTH = ("a", "b")
SUBSETS = (("a",), ("b",), BOTH)


class Added(Fusion):
    """Sum of the logits of the inputs that are present."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.width = BOTH, 3


def model() -> CandidateEnsemble:
    network = Fused(Added(), TARGETS)
    network.head = nn.Identity()  # type: ignore[assignment]
    heads = {name: Head(3, TARGETS) for name in BOTH}
    return CandidateEnsemble(heads, network, TARGETS, torch.zeros(3)).eval()


def drawn(rows: int, rng: np.random.Generator, lost: tuple[float, float]) -> tuple[Predicted, np.ndarray]:
    """Half of the rows are hard; ``lost`` is the share of easy and of hard rows that have no ``b``."""
    truth = rng.integers(0, 3, rows)
    is_hard = rng.random(rows) < 0.5
    strength = np.where(is_hard, 0.3, 2.0)[:, None]
    single = {
        name: torch.from_numpy(2.0 * (strength * np.eye(3)[truth] + rng.normal(size=(rows, 3)))).float()
        for name in BOTH
    }
    has_b = rng.random(rows) >= np.where(is_hard, lost[1], lost[0])
    present = torch.from_numpy(np.stack([np.ones(rows, bool), has_b], 1))
    fused = {subset: sum((single[name] for name in subset), torch.zeros(rows, 3)) for subset in SUBSETS}
    return Predicted(single, {FUSION: fused, LATE: fused}, present), truth


def coverage_of(rows: int, seed: int, lost: tuple[float, float]) -> dict[tuple[str, ...], float]:
    """Coverage of 90 % sets on 4,000 new rows, by the inputs that they have."""
    rng = np.random.default_rng(seed)
    delivered = model()
    known, truth = drawn(rows, rng, lost)
    calibrate_and_choose(delivered, known, {NAME: torch.from_numpy(truth)}, 0.9, rng.permutation(rows) % 5)
    fresh, truth = drawn(4000, rng, lost)
    predictions = delivered.predict(TARGET, fresh, BOTH).numpy()
    inside = covered(TARGET, truth, predictions, delivered.quantiles(TARGET, fresh, BOTH))
    has_b = fresh.present[:, 1].numpy()
    return {("a",): inside[~has_b].mean(), BOTH: inside[has_b].mean()}


@pytest.mark.parametrize(("rows", "lost"), [(400, (0.1, 0.6)), (60, (0.0, 0.0))])
def test_sets_of_every_subset_hold_what_was_promised(rows: int, lost: tuple[float, float]) -> None:
    coverages = [coverage_of(rows, seed, lost) for seed in range(12)]
    for subset in (("a",), BOTH) if sum(lost) else (BOTH,):
        mean = np.mean([each[subset] for each in coverages])
        # twelve draws of 60 rows and more: standard error about .011
        assert 0.88 <= mean <= 0.93, (subset, mean)


def test_a_subset_with_few_rows_of_its_own_is_calibrated_on_rows_with_hidden_inputs() -> None:
    delivered = model()
    known, truth = drawn(500, np.random.default_rng(0), (0.02, 0.02))
    calibrate_and_choose(delivered, known, {NAME: torch.from_numpy(truth)}, 0.9, np.arange(500) % 5)
    own = int((~known.present[:, 1]).sum())
    assert own < 30
    assert delivered.choices[NAME].calibrated == {
        ("a",): (500, False),
        ("b",): (500 - own, False),
        BOTH: (500 - own, True),
    }
    again = model()
    again.set_settings(delivered.settings())
    assert again.choices == delivered.choices


def logits_of(truth: np.ndarray, strength: float, rng: np.random.Generator) -> Tensor:
    natural = strength * (strength * np.eye(3)[truth] + rng.normal(size=(len(truth), 3)))
    return torch.from_numpy(natural)


def test_an_ensemble_of_few_rows_is_no_worse_than_its_best_member() -> None:
    losses = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 3, 4030)
        # one good candidate, and nine that are worth nothing
        made = {"good": logits_of(truth, 1.5, rng)} | {
            f"poor{n}": logits_of(truth, 0.1, rng) for n in range(9)
        }
        predictions = {name: TARGET.predict(natural) for name, natural in made.items()}
        members = combine(TARGET, {name: each[:30] for name, each in predictions.items()}, truth[:30])
        mixed = TARGET.mix([predictions[name][30:] for name in members], list(members.values()))
        alone_loss = TARGET.row_losses(truth[30:], predictions["good"][30:].numpy()).mean()
        losses.append(TARGET.row_losses(truth[30:], TARGET.predict(mixed).numpy()).mean() - alone_loss)
    assert np.mean(losses) < 0.02


def test_members_count_by_what_they_bring() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 2000)
    predictions = {
        name: TARGET.predict(logits_of(truth, strength, rng))
        for name, strength in (("a", 1.5), ("b", 1.4), ("c", 0.2))
    }
    members = combine(TARGET, predictions, truth)
    assert members["a"] > 0
    assert members["b"] > 0
    assert members.get("c", 0) < 0.1 * sum(members.values())
    assert combine(TARGET, predictions, truth[:0]) == {"a": 1, "b": 1, "c": 1}


def test_a_weighted_mixture_is_that_of_repeated_members() -> None:
    rng = np.random.default_rng(0)
    one, other = (torch.from_numpy(rng.dirichlet(np.ones(3), 5)) for _ in range(2))
    torch.testing.assert_close(TARGET.mix([one, other], [2, 1]), TARGET.mix([one, one, other]))


RARE = Targets((Multilabel("tags", "f1_macro", ("often", "seldom", "rare"), "|", "none"),))
TAGS = cast(Multilabel, RARE.primary)


def tagged(rows: int, seed: int) -> tuple[Predicted, np.ndarray]:
    """Two inputs that say of three labels what is right in a third of the rows or less, calibrated."""
    rng = np.random.default_rng(seed)
    shares = np.array([0.3, 0.05, 0.02])
    truth = (rng.random((rows, 3)) < shares).astype(np.float64)
    prior = np.log(shares / (1 - shares))
    scores = {name: rng.normal(size=truth.shape) + truth for name in BOTH}
    single = {name: torch.from_numpy(scores[name] - 0.5 + prior).float() for name in BOTH}
    together = torch.from_numpy(sum(scores.values()) - 1.0 + prior).float()
    fused = {("a",): single["a"], ("b",): single["b"], BOTH: together}
    return Predicted(single, {FUSION: fused, LATE: fused}, torch.ones(rows, 2, dtype=torch.bool)), truth


def calibrated(
    rows: Predicted, truth: np.ndarray, threshold: Threshold = "auto"
) -> tuple[CandidateEnsemble, Predicted]:
    network = Fused(Added(), RARE)
    network.head = nn.Identity()  # type: ignore[assignment]
    made = CandidateEnsemble({name: Head(3, RARE) for name in BOTH}, network, RARE, torch.zeros(3)).eval()
    values, folds = {"tags": torch.from_numpy(truth)}, np.arange(len(truth)) % 5
    return made, calibrate_and_choose(made, rows, values, 0.9, folds, thresholds={"tags": threshold})


def test_every_candidate_and_subset_has_thresholds_that_raise_f1_on_fresh_rows() -> None:
    known, truth = tagged(2000, 0)
    delivered, _ = calibrated(known, truth)
    fresh, fresh_truth = tagged(10_000, 1)
    for subset, candidate in [(BOTH, None), (BOTH, "a"), (("a",), None), (("b",), FUSION), (BOTH, FUSION)]:
        plain = delivered.predict(TAGS, fresh, subset, candidate).numpy()
        given = delivered.answer(TAGS, fresh, subset, candidate).numpy()
        assert (given[:, :3] == plain).all()
        gain = metric(TAGS, "f1_macro", fresh_truth, given) - metric(TAGS, "f1_macro", fresh_truth, plain)
        assert gain > 0.04, (subset, candidate, gain)
    again = CandidateEnsemble(delivered.heads, delivered.fused, RARE, torch.zeros(3))
    again.set_settings(json.loads(json.dumps(delivered.settings())))
    assert again.choices == delivered.choices


def test_rows_of_the_choice_are_decided_by_thresholds_that_have_not_seen_them() -> None:
    known, truth = tagged(1000, 0)
    delivered, selected = calibrated(known, truth)
    given = delivered.answer(TAGS, selected, BOTH, "a").numpy()
    probabilities = TAGS.without_thresholds(given)
    for fold in range(5):
        inside = np.arange(1000) % 5 == fold
        others = TAGS.thresholds(truth[~inside], probabilities[~inside])
        assert np.allclose(given[inside, 3:], others)
    everything = TAGS.thresholds(truth, probabilities)
    assert everything is not None
    assert np.allclose(delivered.choices["tags"].thresholds["a"]["a",], everything)


@pytest.mark.parametrize(("threshold", "columns"), [(0.5, 3), (0.2, 6)])
def test_a_configured_threshold_holds_for_all(threshold: float, columns: int) -> None:
    delivered, selected = calibrated(*tagged(300, 0), threshold)
    for rows in (selected, tagged(50, 1)[0]):
        given = delivered.answer(TAGS, rows, BOTH).numpy()
        assert given.shape[1] == columns
        assert (given[:, 3:] == threshold).all()
        assert (TAGS.decide(given) == (given[:, :3] >= threshold)).all()


def test_a_row_without_inputs_has_even_thresholds() -> None:
    delivered, _ = calibrated(*tagged(300, 0))
    rows, _ = tagged(4, 1)
    nothing = replace(rows, present=torch.zeros(4, 2, dtype=torch.bool))
    assert (delivered.answer(TAGS, nothing, BOTH)[:, 3:] == 0.5).all()
