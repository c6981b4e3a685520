"""Cures for a fused model that neglects an input: each does what its formula says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from components.config.balance import OGMGE, Auxiliary, GradientBlending, NoCure, Sequential
from components.config.fusion import ConcatConfig
from components.config.training import TrainingConfig
from components.models.fusion import build_fusion
from components.models.networks import Batch, Fused
from components.objectives.balance import (
    AuxiliaryLoss,
    Blending,
    GradientModulation,
    SequentialPriority,
    build_objective,
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


def test_blending_weighs_by_gain_over_squared_overfitting() -> None:
    net, rows = network(), batch()
    objective = Blending(TARGETS, TRAINING, rows.targets, inputs=2, every=1)
    losses = objective.each(net, rows, rows.present)
    torch.testing.assert_close(objective(net, rows, rows.present), losses[0] + losses[1][0] + losses[1][1])

    def epoch(number: int, train: list[float], val: list[float]) -> None:
        objective.begin_epoch(number, 10)
        objective.seen = torch.tensor([*train, 1.0])
        objective.end_epoch(number, val[2], {"loud": val[0], "quiet": val[1]})

    epoch(0, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    epoch(1, [0.5, 0.8, 0.2], [0.7, 0.9, 0.8])
    # gains 0.3, 0.1, 0.2; the gap between val and train grew by 0.2, 0.1, 0.6
    raw = torch.tensor([0.3 / 0.04, 0.1 / 0.01, 0.2 / 0.36])
    torch.testing.assert_close(objective.weights_now, raw / raw.sum(), rtol=1e-4, atol=1e-5)


def test_blending_goes_on_from_its_state() -> None:
    rows = batch()
    first = Blending(TARGETS, TRAINING, rows.targets, inputs=2, every=1)
    first.weights_now = torch.tensor([0.5, 0.3, 0.2])
    again = Blending(TARGETS, TRAINING, rows.targets, inputs=2, every=1)
    again.load_state_dict(first.state_dict())
    torch.testing.assert_close(again.weights_now, first.weights_now)


def test_modulation_makes_the_gradient_of_the_input_ahead_smaller_and_of_that_alone() -> None:
    rows, net = batch(), network()
    objective = GradientModulation(TARGETS, TRAINING, rows.targets, alpha=0.5, noise=False)
    objective(net, rows, rows.present).backward()
    before = {name: value.grad.clone() for name, value in net.named_parameters() if value.grad is not None}
    objective._likelihoods = [0.9, 0.6]
    objective.after_backward(net)
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
    assert objective._likelihoods[1] == pytest.approx(expected.item(), abs=1e-6)


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
        (GradientBlending(), "Blending"),
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


@pytest.mark.parametrize(
    "cure", [NoCure(), Auxiliary(), OGMGE(noise=False), GradientBlending(), Sequential()]
)
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
