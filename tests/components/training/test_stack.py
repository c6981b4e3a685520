"""Stacking: near the ideal where the ideal is known, and never much worse than the best input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from components.models.fusion.late import Late
from components.training.stack import held_out, stack
from tests.components.small_targets import NAME, alone

CLASSES = 4
PRIOR = torch.tensor([0.4, 0.3, 0.2, 0.1])
TARGETS = alone(CLASSES)


def simulate(
    rows: int, seed: int, strengths: tuple[float, ...] = (1.5, 1.0, 0.7), heat: tuple[float, ...] = (1,) * 9
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Inputs that are independent given the class.

    Input m sees the class's unit vector times its strength under unit noise. Its logits are the true
    posterior's, times ``heat``. Returns logits, targets, and the posterior's logits given all inputs.
    """
    rng = np.random.default_rng(seed)
    targets = rng.choice(CLASSES, rows, p=PRIOR.double().numpy() / PRIOR.double().sum().item())
    log_prior = PRIOR.log().numpy()
    logits, ideal = {}, np.tile(log_prior, (rows, 1))
    for name, strength, factor in zip("abcdefghi", strengths, heat, strict=False):
        seen = strength * np.eye(CLASSES)[targets] + rng.normal(size=(rows, CLASSES))
        likelihood = strength * seen  # log N(seen; strength e_c, 1) up to a constant
        logits[name] = torch.from_numpy((likelihood + log_prior) * factor).float()
        ideal = ideal + likelihood
    return logits, torch.from_numpy(targets), torch.from_numpy(ideal).float()


def fitted(logits: dict[str, Tensor], targets: Tensor, present: Tensor | None = None) -> Late:
    late = Late(dict.fromkeys(logits, 1), TARGETS)
    mask = everywhere(logits, targets) if present is None else present
    stack(late, logits, mask, {NAME: targets}, PRIOR.log())
    return late


def everywhere(logits: dict[str, Tensor], targets: Tensor) -> Tensor:
    return torch.ones(len(targets), len(logits), dtype=torch.bool)


def pooled(late: Late, logits: dict[str, Tensor], present: Tensor) -> Tensor:
    with torch.no_grad():
        return late.pool(late.scale(logits, present), present)


def loss(logits: Tensor, targets: Tensor) -> float:
    return F.cross_entropy(logits, targets).item()


@pytest.mark.parametrize("heat", [(1, 1, 1), (3, 0.5, 2)], ids=["calibrated", "over- and underconfident"])
def test_the_product_of_experts_is_recovered(heat: tuple[float, ...]) -> None:
    late = fitted(*simulate(1000, 0, heat=heat)[:2])
    logits, targets, ideal = simulate(20_000, 1, heat=heat)
    pooled_loss = loss(pooled(late, logits, everywhere(logits, targets)), targets)
    single = min(loss(value / factor, targets) for value, factor in zip(logits.values(), heat, strict=True))
    # of what fusion can win over the best single input, at least 95 %
    assert pooled_loss - loss(ideal, targets) < 0.05 * (single - loss(ideal, targets))


def test_the_ideal_holds_for_every_subset() -> None:
    late = fitted(*simulate(1000, 0)[:2])
    logits, targets, _ = simulate(20_000, 1)
    for subset in ([1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 1]):
        present = torch.tensor([subset], dtype=torch.bool).expand(len(targets), 3)
        chosen = [logits[name] for name, is_present in zip("abc", subset, strict=True) if is_present]
        ideal = sum(chosen) - (len(chosen) - 1) * PRIOR.log()
        pooled_loss = loss(pooled(late, logits, present), targets)
        # shares of the ideal's own loss; 1000 rows for 7 numbers leave about 7 / 2000 = .0035 nats
        assert pooled_loss < loss(ideal, targets) * 1.02


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strengths", [(2.0, 0.0, 0.0), (1.0, 1.0, 0.1), (0.2, 0.1, 0.0)])
def test_it_is_never_much_worse_than_the_best_single_input(seed: int, strengths: tuple[float, ...]) -> None:
    late = fitted(*simulate(150, seed, strengths)[:2])
    logits, targets, _ = simulate(5000, 100 + seed, strengths)
    pooled_loss = loss(pooled(late, logits, everywhere(logits, targets)), targets)
    best = min(loss(value, targets) for value in logits.values())
    # 10 learned numbers on 150 rows cost about 10 / 300 = .033 nats; up to twice that by chance
    assert pooled_loss < best + 0.07


def test_an_input_that_repeats_another_is_not_counted_twice() -> None:
    logits, targets, _ = simulate(1000, 0)
    logits = {"a": logits["a"], "b": logits["a"].clone()}
    late = fitted(logits, targets)
    test, test_targets, _ = simulate(20_000, 1)
    twice = {"a": test["a"], "b": test["a"]}
    present = everywhere(twice, test_targets)
    naive = loss(2 * test["a"] - PRIOR.log(), test_targets)
    pooled_loss = loss(pooled(late, twice, present), test_targets)
    alone = loss(test["a"], test_targets)
    assert pooled_loss < alone + 0.05 * (naive - alone)
    lone = present & torch.tensor([True, False])
    # with weights of its own the pair does not make an input alone less sure of what it says
    assert loss(pooled(late, twice, lone), test_targets) < alone + 0.05 * (naive - alone)


def test_a_subset_with_few_rows_keeps_what_all_share() -> None:
    logits, targets, _ = simulate(1000, 0)
    present = everywhere(logits, targets)
    present[:, 2] = False
    present[:3] = True
    few, none = (
        fitted(logits, targets, present),
        fitted(logits, targets, present[:, :] & (present[:, 2:] <= 0)),
    )
    several, seen = few.number(torch.tensor([[True, True, True], [True, True, False]])).tolist()
    assert (few.log_weight[several] - few.log_weight[0]).abs().max() < 0.1  # 0 has no inputs, so no rows
    assert (few.log_weight[seen] - none.log_weight[seen]).abs().max() < 0.1


def test_seven_inputs_share_one_set_of_weights() -> None:
    logits, targets, _ = simulate(300, 0, strengths=(0.5,) * 7)
    late = fitted(logits, targets)
    assert late.log_weight.shape == (1, 1, 7)
    assert loss(pooled(late, logits, everywhere(logits, targets)), targets) < loss(logits["a"], targets)


def test_heads_and_absent_inputs_are_left_out() -> None:
    logits, targets, _ = simulate(200, 0)
    present = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) < 0.7
    present[:, 0] |= ~present.any(1)
    poisoned = {
        name: torch.where(present[:, [column]], value, torch.nan)
        for column, (name, value) in enumerate(logits.items())
    }
    late = Late(dict.fromkeys("abc", 5), TARGETS)
    heads = {name: value.clone() for name, value in late.heads.state_dict().items()}
    stack(late, poisoned, present, {NAME: targets}, PRIOR.log())
    clean = fitted(logits, targets, present)
    assert all(torch.isfinite(value).all() for value in (late.log_weight, late.log_temperature, late.bias))
    torch.testing.assert_close(late.log_weight, clean.log_weight, rtol=0, atol=0)
    for name, value in late.heads.state_dict().items():
        torch.testing.assert_close(value, heads[name], rtol=0, atol=0)


def test_an_input_that_no_validation_row_has_keeps_its_start() -> None:
    logits, targets, _ = simulate(200, 0)
    present = everywhere(logits, targets)
    present[:, 1] = False
    late = fitted(logits, targets, present)
    assert late.log_temperature[0, 1].item() == 0.0
    assert not late.log_weight[:, 0, 1].any()


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_very_few_rows_are_enough(rows: int) -> None:
    logits, targets, _ = simulate(rows, 0)
    present = everywhere(logits, targets)
    late = fitted(logits, targets)
    assert torch.isfinite(pooled(late, logits, present)).all()
    parts = np.arange(rows) % 5
    (outputs,) = held_out(TARGETS, logits, present, {NAME: targets}, PRIOR.log(), [present], parts)
    assert torch.isfinite(outputs).all()


def test_held_out_logits_are_made_without_the_row_itself() -> None:
    logits, targets, _ = simulate(60, 0, strengths=(0.3, 0.3, 0.3))
    present = everywhere(logits, targets)
    masks = [present, present & torch.tensor([True, False, False])]
    parts = np.arange(60) % 5
    fair = held_out(TARGETS, logits, present, {NAME: targets}, PRIOR.log(), masks, parts)
    seen = pooled(fitted(logits, targets), logits, present)
    assert loss(fair[0], targets) > loss(seen, targets), "rows that were learned from look better"

    # a row's own label must not change its own logits, only those of others
    changed = targets.clone()
    changed[7] = (targets[7] + 1) % CLASSES
    (other,) = held_out(TARGETS, logits, present, {NAME: changed}, PRIOR.log(), [present], parts)
    torch.testing.assert_close(other[7], fair[0][7], rtol=0, atol=0)
    assert not torch.equal(other, fair[0])

    # the mask of one input alone gives that input's logits, scaled
    ratio = fair[1] - fair[1].mean(1, keepdim=True)
    own = logits["a"] - logits["a"].mean(1, keepdim=True)
    assert torch.nn.functional.cosine_similarity(ratio, own).min() > 0.999


def test_nine_inputs_are_pooled_though_they_have_511_subsets() -> None:
    strengths = (0.8,) * 9
    late = fitted(*simulate(300, 0, strengths)[:2])
    logits, targets, ideal = simulate(5000, 1, strengths)
    pooled_loss = loss(pooled(late, logits, everywhere(logits, targets)), targets)
    best = min(loss(value, targets) for value in logits.values())
    # 22 numbers from 300 rows
    assert pooled_loss - loss(ideal, targets) < 0.2 * (best - loss(ideal, targets))


def test_weights_of_a_model_of_before_serve_every_subset() -> None:
    before = Late({"a": 1, "b": 1}, TARGETS).state_dict()
    before["log_weight"], before["bias"] = torch.tensor([[0.3, -0.2]]), torch.arange(4.0)
    late = Late({"a": 1, "b": 1}, TARGETS)
    late.load_state_dict(before)
    assert (late.log_weight == torch.tensor([0.3, -0.2])).all()
    assert (late.bias == torch.arange(4.0)).all()
