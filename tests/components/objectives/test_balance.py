"""Cures for a fused model that neglects an input: each does what its formula says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from components.config.balance import OGMGE, Auxiliary, NoCure, Pareto, Sequential
from components.config.fusion import ConcatConfig
from components.config.training import TrainingConfig
from components.models.fusion import build_fusion
from components.models.networks import Batch, Fused
from components.objectives.balance import (
    AuxiliaryLoss,
    GradientModulation,
    MMPareto,
    SequentialPriority,
    build_objective,
    integrate,
    only,
)
from components.objectives.supervised import WEIGHT
from components.targets import Classification, Targets
from components.training.batches import EmbeddingSource
from components.training.loop import train

TARGETS = Targets((Classification("y", "accuracy", ("no", "yes")),))
TRAINING = TrainingConfig()


def network(width: int = 8, seed: int = 0) -> Fused:
    torch.manual_seed(seed)
    config = ConcatConfig(width=width, dropout=0.0)
    return Fused(build_fusion(config, {"loud": 4, "quiet": 4}, TARGETS), TARGETS)


def batch(rows: int = 32, seed: int = 0) -> Batch:
    """``loud`` shows the class plainly, ``quiet`` under noise."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (rows,), generator=draw)
    sign = (2.0 * y - 1).unsqueeze(1)
    loud = sign + 0.3 * torch.randn(rows, 4, generator=draw)
    quiet = 0.6 * sign + 1.0 * torch.randn(rows, 4, generator=draw)
    present = torch.ones(rows, 2, dtype=torch.bool)
    present[0, 0] = present[1, 1] = False
    return Batch({"loud": loud, "quiet": quiet}, present, {"y": y})


def loss_by_hand(net: Fused, rows: Batch, present: Tensor) -> Tensor:
    logits = net(rows.inputs, present)
    return torch.nn.functional.cross_entropy(logits, rows.targets["y"])


def test_the_auxiliary_loss_adds_the_mean_of_the_inputs_alone_over_rows_that_have_them() -> None:
    net, rows = network(), batch()
    objective = AuxiliaryLoss(TARGETS, TRAINING, rows.targets, weight=0.5)
    alone = []
    for column in range(2):
        have = rows.present[:, column]
        part = Batch(
            {name: value[have] for name, value in rows.inputs.items()},
            rows.present[have],
            {"y": rows.targets["y"][have]},
        )
        alone.append(loss_by_hand(net, part, only(part.present, column)))
    expected = loss_by_hand(net, rows, rows.present) + 0.5 * (alone[0] + alone[1]) / 2
    torch.testing.assert_close(objective(net, rows, rows.present), expected)


def test_an_input_that_no_row_has_costs_nothing() -> None:
    net, rows = network(), batch()
    present = rows.present.clone()
    present[:, 1] = False
    present[:, 0] = True
    objective = AuxiliaryLoss(TARGETS, TRAINING, rows.targets, weight=2.0)
    joint = loss_by_hand(net, rows, present)
    torch.testing.assert_close(objective(net, rows, present), joint + 2.0 * joint / 2)


@pytest.mark.parametrize(
    ("joint", "single", "expected"),
    [
        ([1.0, 0.0], [1.0, 2.0], [2.0, 2.0]),  # no conflict: the sum
        # a = ((-2, 2) @ (-1, 2)) / 8 = .75: 1.5 (1, 0) + .5 (-1, 2) = (1, 1), as long as the sum (0, 2)
        ([1.0, 0.0], [-1.0, 2.0], [2**0.5, 2**0.5]),
        ([1.0, 0.0], [-4.0, 0.0], [0.0, 0.0]),  # no direction lowers both losses
    ],
)
def test_conflicting_gradients_are_integrated_along_the_least_norm(
    joint: list[float], single: list[float], expected: list[float]
) -> None:
    mixed = integrate(torch.tensor(joint), torch.tensor(single), gamma=1.0)
    torch.testing.assert_close(mixed, torch.tensor(expected), rtol=1e-5, atol=1e-5)
    twice = integrate(torch.tensor(joint), torch.tensor(single), gamma=2.0)
    torch.testing.assert_close(twice, 2 * mixed)


def test_mmpareto_integrates_each_inputs_own_gradient_and_leaves_shared_ones_summed() -> None:
    rows, net = batch(), network()
    objective = MMPareto(TARGETS, TRAINING, rows.targets, gamma=1.5)
    joint, singles = objective.each(net, rows, rows.present)

    def gradients(loss: Tensor) -> dict[str, Tensor]:
        net.zero_grad()
        loss.backward(retain_graph=True)
        return {
            name: torch.zeros_like(value) if value.grad is None else value.grad.clone()
            for name, value in net.named_parameters()
        }

    of_joint, of_singles = gradients(joint), [gradients(single) for single in singles]
    net.zero_grad()
    objective.backward(net, objective(net, rows, rows.present), 1.0)
    objective.after_backward(net, lambda value: value)
    for column, name in enumerate(net.inputs):
        own = [key for key, value in net.named_parameters() if name in key.split(".")]
        single = torch.cat([of_singles[column][key].flatten() for key in own])
        rest = torch.cat([(of_joint[key] + of_singles[1 - column][key]).flatten() for key in own])
        expected = integrate(rest, single, gamma=1.5)
        given = torch.cat([dict(net.named_parameters())[key].grad.flatten() for key in own])
        torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-6)
    head = net.head.weight.grad
    torch.testing.assert_close(
        head, of_joint["head.weight"] + sum(each["head.weight"] for each in of_singles), rtol=1e-4, atol=1e-6
    )


def test_mmpareto_adds_up_a_step_that_memory_divides() -> None:
    rows, whole, parts = batch(), network(), network()
    full = torch.ones_like(rows.present)  # rows that have all inputs have the same share in every loss
    one, other = (MMPareto(TARGETS, TRAINING, rows.targets, gamma=1.5) for _ in range(2))
    one.backward(whole, one(whole, rows, full), 1.0)
    one.after_backward(whole, lambda value: value)
    for at in (torch.arange(8), torch.arange(8, 32)):
        few = Batch({n: v[at] for n, v in rows.inputs.items()}, full[at], {"y": rows.targets["y"][at]})
        other.backward(parts, other(parts, few, few.present) * (len(at) / 32), len(at) / 32)
    other.after_backward(parts, lambda value: value)
    for (name, value), (_, given) in zip(whole.named_parameters(), parts.named_parameters(), strict=True):
        if value.grad is not None:
            torch.testing.assert_close(given.grad, value.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_modulation_makes_the_gradient_of_the_input_ahead_smaller_and_of_that_alone() -> None:
    rows, net = batch(), network()
    objective = GradientModulation(TARGETS, TRAINING, rows.targets, alpha=0.5, noise=False)
    objective(net, rows, rows.present).backward()
    before = {name: value.grad.clone() for name, value in net.named_parameters() if value.grad is not None}
    objective._likelihoods = torch.tensor([0.9, 0.6])
    objective.after_backward(net, lambda value: value)
    factor = 1 - math.tanh(0.5 * 0.9 / 0.6)
    for name, value in net.named_parameters():
        if value.grad is not None:
            ahead = "loud" in name.split(".")
            torch.testing.assert_close(value.grad, before[name] * (factor if ahead else 1.0))
    assert any("loud" in name.split(".") for name in before)


def test_modulation_measures_likelihoods_of_each_input_alone() -> None:
    rows, net = batch(), network()
    objective = GradientModulation(TARGETS, TRAINING, rows.targets, alpha=0.5, noise=False)
    objective(net, rows, rows.present)
    have = rows.present[:, 1]
    part = {name: value[have] for name, value in rows.inputs.items()}
    chances = net(part, only(rows.present[have], 1)).softmax(1)
    expected = chances.gather(1, rows.targets["y"][have].unsqueeze(1)).mean()
    torch.testing.assert_close(objective._likelihoods[1], expected)


@pytest.mark.parametrize(
    ("epoch", "visible"), [(0, [False, True]), (4, [False, True]), (5, [True, True]), (9, [True, True])]
)
def test_the_weakest_input_begins_and_the_others_join(epoch: int, visible: list[bool]) -> None:
    rows = batch()
    seen: list[Tensor] = []

    class Spy(torch.nn.Module):
        def forward(self, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
            seen.append(present)
            return torch.zeros(len(present), 2, requires_grad=True)

    objective = SequentialPriority(
        TARGETS, TRAINING, rows.targets, strength={"loud": 0.9, "quiet": 0.6}, share=0.5
    )
    objective.begin_epoch(epoch, 10)
    objective(Spy(), rows, rows.present)
    assert seen[0][2].tolist() == visible
    assert seen[0][1].tolist() == [True, False]  # it lacks the weak one and keeps what it has


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (NoCure(), "Supervised"),
        (Auxiliary(), "AuxiliaryLoss"),
        (Pareto(), "MMPareto"),
        (OGMGE(), "GradientModulation"),
        (Sequential(), "SequentialPriority"),
    ],
)
def test_every_cure_trains_and_is_gone_on_with(config: object, kind: str, tmp_path: Path) -> None:
    rows = batch(64)
    source = EmbeddingSource(rows.inputs, rows.present, rows.targets, torch.device("cpu"))

    def run(folder: Path, stop: int | None) -> list[float]:
        net = network(seed=3)
        strength = {"loud": 0.9, "quiet": 0.6}
        objective = build_objective(config, strength, TARGETS, TRAINING, rows.targets)  # type: ignore[arg-type]
        assert type(objective).__name__ == kind
        losses = []
        for epoch in train(
            net,
            objective,
            source,
            source,
            TrainingConfig(epochs=6, batch_size=16, learning_rate=0.02),
            seed=1,
            folder=folder,
            device=torch.device("cpu"),
            inputs=net.inputs,
        ):
            losses.append(epoch.train_loss)
            assert set(epoch.alone) == {"loud", "quiet"}
            if stop is not None and len(losses) == stop:
                break
        return losses

    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = run(tmp_path / "whole", None)
    run(tmp_path / "cut", 3)
    assert run(tmp_path / "cut", None) == pytest.approx(whole)
    assert whole[-1] < whole[0]


@pytest.mark.parametrize("cure", [NoCure(), Auxiliary(), OGMGE(noise=False), Pareto(), Sequential()])
def test_every_cure_weighs_rows(cure: object) -> None:
    net, rows = network(), batch(8)
    rows = Batch(rows.inputs, torch.ones(8, 2, dtype=torch.bool), rows.targets)
    parts = [slice(0, 4), slice(4, 8)]
    strength = {"loud": 0.9, "quiet": 0.5}

    def loss(of: Batch) -> Tensor:
        objective = build_objective(cure, strength, TARGETS, TRAINING, of.targets)  # type: ignore[arg-type]
        objective.begin_epoch(0, 10)
        return objective(net, of, of.present)

    halves = [
        Batch(
            {n: x[part] for n, x in rows.inputs.items()}, rows.present[part], {"y": rows.targets["y"][part]}
        )
        for part in parts
    ]
    weights = torch.tensor([1.5] * 4 + [0.5] * 4)
    weighed = Batch(rows.inputs, rows.present, rows.targets, {WEIGHT: weights})
    torch.testing.assert_close(loss(weighed), (1.5 * loss(halves[0]) + 0.5 * loss(halves[1])) / 2)
