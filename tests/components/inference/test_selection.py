"""Choice by rows that nothing has learned from: ensembles in bags, conformal sets for each subset."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.inference.ensemble import FUSION, LATE, CandidateEnsemble, Predicted
from components.inference.selection import calibrate_and_choose, combine
from components.models.fusion import Fusion
from components.models.networks import Fused
from components.targets import Head
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
