"""Learning from targets: one as it is, several weighed by what is learned of their uncertainty."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.config.training import TrainingConfig
from components.models.networks import Batch
from components.objectives import Supervised
from components.targets import Head, Targets
from tests.components.small_targets import KINDS, classes, drawn_natural, drawn_values, labels, number

CPU = torch.device("cpu")


EVERY = torch.ones(1, 1, dtype=torch.bool)  # not looked at by learning from targets


def values_of(targets: Targets, rows: int, seed: int = 0) -> dict[str, Tensor]:
    return {t.name: torch.from_numpy(drawn_values(t, rows, seed)) for t in targets}


def natural_of(targets: Targets, rows: int) -> Tensor:
    return torch.cat([drawn_natural(target, rows) for target in targets], dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_one_target_is_its_own_loss_and_nothing_more_is_learned(kind: str) -> None:
    targets = Targets((KINDS[kind],))
    values, natural = values_of(targets, 20), natural_of(targets, 20)
    objective = Supervised(targets, TrainingConfig(label_smoothing=0.1), values)
    expected = targets.primary.losses(natural, values[targets.primary.name], 0.1).mean()
    torch.testing.assert_close(objective.loss(natural, values), expected)
    assert list(objective.parameters()) == []


def test_class_weights_of_every_target_come_from_the_training_rows() -> None:
    targets = Targets((classes(3), number(), labels("ab")))
    values, natural = values_of(targets, 30), natural_of(targets, 30)
    objective = Supervised(targets, TrainingConfig(class_weights="balanced"), values)
    for name, weights in objective.weights.items():
        objective.weights[name] = None if weights is None else weights.double()
    expected = sum(
        target.losses(
            natural[:, targets.slices[target.name]] + (0 if weights is None else weights.log()),
            values[target.name],
            weights=weights,
        ).mean()
        for target in targets
        for weights in [objective.weights[target.name]]
    )
    torch.testing.assert_close(objective.loss(natural, values), expected)  # all weights begin at 1


def test_the_learned_weights_are_those_of_kendall_gal_and_cipolla() -> None:
    targets = Targets((classes(3), number(), labels("ab")))
    values, natural = values_of(targets, 30), natural_of(targets, 30)
    objective = Supervised(targets, TrainingConfig(), values).double()
    with torch.no_grad():
        objective.log_variance.copy_(torch.tensor([0.7, -1.0, -0.3]))
    kind, price, tags = targets.losses(natural, values).values()
    expected = math.exp(-0.7) * kind + 0.35 + price + math.exp(0.3) * tags - 0.15
    torch.testing.assert_close(objective.loss(natural, values), expected)


def test_a_weight_settles_where_the_loss_says() -> None:
    # with fixed predictions the least is at s = ln(2 L), so that the weight is 1 / (2 L)
    targets = Targets((classes(3), labels("ab")))
    values, natural = values_of(targets, 50), natural_of(targets, 50)
    objective = Supervised(targets, TrainingConfig(), values).double()
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.05)
    for _ in range(600):
        optimizer.zero_grad()
        objective.loss(natural, values).backward()
        optimizer.step()
    expected = torch.stack(list(targets.losses(natural, values).values())).mul(2).log()
    torch.testing.assert_close(objective.log_variance.detach(), expected, rtol=1e-3, atol=1e-3)


def test_a_number_known_well_does_not_drive_its_weight_without_bound() -> None:
    # the likelihood of a number falls below 0, where exp(-s) L has no least value
    targets = Targets((classes(2), number()))
    values = {"label": torch.zeros(4, dtype=torch.int64), "price": torch.full((4,), 10.0)}
    natural = torch.tensor([[0.0, 0.0, 0.0, 1000.0]]).repeat(4, 1)
    assert targets.losses(natural, values)["price"] < -3
    objective = Supervised(targets, TrainingConfig(), values)
    objective.loss(natural, values).backward()
    assert objective.log_variance.grad[1] == 0


def test_a_batch_without_a_target_says_nothing_of_its_weight() -> None:
    targets = Targets((number(), classes(3)))
    values = {"price": torch.tensor([9.0, 12.0]), "label": torch.tensor([-1, -1])}
    objective = Supervised(targets, TrainingConfig(), values_of(targets, 10))
    natural = natural_of(targets, 2).float().requires_grad_()
    loss = objective.loss(natural, values)
    loss.backward()
    assert objective.log_variance.grad is None or (objective.log_variance.grad == 0).all()
    torch.testing.assert_close(loss, targets.losses(natural, values)["price"])


def test_two_targets_are_learned_together_from_rows_that_lack_one_of_them() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 4, generator=generator)
    values = {"label": (x[:, 0] > 0).long(), "price": (10 + 4 * x[:, 1]).double()}
    values["label"][::3] = -1
    values["price"][1::3] = torch.nan
    targets = Targets((classes(2), number()))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = Head(4, targets)

        def forward(self, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
            return self.head(inputs["x"])

    network, present = Network(), torch.ones(300, 1, dtype=torch.bool)
    objective = Supervised(targets, TrainingConfig(), values)
    before = objective.log_variance.detach().clone()
    optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], lr=0.05)
    batch = Batch({"x": x}, present, values)
    for _ in range(300):
        optimizer.zero_grad()
        objective(network, batch, present).backward()
        optimizer.step()
    with torch.no_grad():
        natural = network(batch.inputs, present)
    right = natural[:, :2].argmax(1) == (x[:, 0] > 0)
    mean = targets.each[1].predict(natural[:, 2:])[:, 0]
    assert right.double().mean() > 0.95
    assert (mean - (10 + 4 * x[:, 1])).square().mean() < 0.05 * 16
    assert objective.log_variance[0] < before[0] - 0.5, "what is known well counts more"


class TestJudge:
    def test_the_loss_is_the_plain_mean_and_the_metric_the_primary_ones(self) -> None:
        targets = Targets((number(metric="mae"), classes(3)))
        values, natural = values_of(targets, 40), natural_of(targets, 40)
        objective = Supervised(targets, TrainingConfig(label_smoothing=0.3, class_weights="balanced"), values)
        loss, metric = objective.evaluate(natural, values, EVERY)
        assert loss == pytest.approx(np.mean([v.item() for v in targets.losses(natural, values).values()]))
        mean = natural[:, 0] / natural[:, 1] * 4 + 10
        assert metric == pytest.approx((mean - values["price"]).abs().mean().item())
        assert objective.metric == "mae"

    def test_only_rows_that_have_the_primary_target_are_measured(self) -> None:
        targets = Targets((classes(2), number()))
        values = {"label": torch.tensor([0, -1, 1, -1]), "price": torch.tensor([1.0, 2, 3, 4])}
        natural = torch.tensor([[3.0, 0, 0, 1], [3, 0, 0, 1], [3, 0, 0, 1], [3, 0, 0, 1]])
        assert Supervised(targets, TrainingConfig(), values).evaluate(natural, values, EVERY)[1] == 0.5

    def test_without_such_rows_the_metric_is_open(self) -> None:
        targets = Targets((classes(2), number()))
        values = {"label": torch.tensor([-1, -1]), "price": torch.tensor([1.0, 2])}
        loss, metric = Supervised(targets, TrainingConfig(), values).evaluate(
            natural_of(targets, 2), values, EVERY
        )
        assert math.isfinite(loss)
        assert math.isnan(metric)


@pytest.mark.parametrize("kind", KINDS)
def test_row_weights_multiply_the_losses_of_rows_that_have_the_target(kind: str) -> None:
    targets = Targets((KINDS[kind],))
    values, natural = values_of(targets, 20), natural_of(targets, 20)
    name = targets.primary.name
    values[name][3] = -1 if not values[name].is_floating_point() else math.nan
    weights = torch.linspace(0.1, 2.0, 20, dtype=natural.dtype)
    others = torch.arange(20) != 3
    losses = targets.primary.losses(natural[others], values[name][others])
    loss = Supervised(targets, TrainingConfig(), values).loss(natural, values, weights)
    torch.testing.assert_close(loss, (losses * weights[others]).mean())
