"""Class weights tell the loss what matters; the natural parameters keep the frequencies of the rows."""

import torch

from components.config.training import TrainingConfig
from components.models.networks import Batch
from components.objectives.supervised import Supervised, begin_balanced
from components.targets import Classification, Head, Multilabel, Targets

BALANCED = TrainingConfig(class_weights="balanced")


class Linear(torch.nn.Module):
    """A head over one input, as every trained network ends in one."""

    def __init__(self, targets: Targets, width: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = Head(width, targets)

    def forward(self, inputs: dict[str, torch.Tensor], present: torch.Tensor) -> torch.Tensor:
        return self.head(inputs["x"])


def rare_rows(rows: int = 4000, rare: float = 0.03) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    y = (torch.rand(rows, generator=draw) < rare).long()
    x = torch.randn(rows, 3, generator=draw) + y.unsqueeze(1) * 1.0
    return x, y


def trained(targets: Targets, x: torch.Tensor, values: dict[str, torch.Tensor]) -> Linear:
    network = Linear(targets, x.shape[1])
    objective = Supervised(targets, BALANCED, values)
    begin_balanced(network.head, BALANCED, values)
    rows = Batch({"x": x}, torch.ones(len(x), 1, dtype=torch.bool), values)
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = objective(network, rows, rows.present)
        loss.backward()
        return loss

    optimizer.step(step)
    return network.eval()


def test_a_balanced_training_gives_the_rare_class_its_own_frequency() -> None:
    x, y = rare_rows()
    targets = Targets((Classification("y", "accuracy", ("common", "rare")),))
    with torch.no_grad():
        natural = trained(targets, x, {"y": y})({"x": x}, torch.ones(len(x), 1, dtype=torch.bool))
    chance = natural.softmax(1)[:, 1]
    # a weighted fit is not exactly unbiased for the rows; without the correction it is .2
    assert abs(float(chance.mean()) - float(y.float().mean())) < 0.005
    # the same log-odds as Gaussians one apart in three dimensions with these frequencies
    odds = x.sum(1) - 1.5 + float(torch.logit(y.float().mean()))
    assert float((natural[:, 1] - natural[:, 0] - odds).abs().mean()) < 0.3


def test_balanced_labels_keep_their_frequencies_too() -> None:
    x, y = rare_rows()
    targets = Targets((Multilabel("y", "f1_macro", ("a", "b"), " ", "none"),))
    labels = torch.stack([y.double(), (x[:, 0] > 0).double()], dim=1)
    network = trained(targets, x, {"y": labels})
    chance = network({"x": x}, torch.ones(len(x), 1, dtype=torch.bool)).sigmoid().mean(0)
    torch.testing.assert_close(chance, labels.mean(0).float(), atol=0.01, rtol=0)


def test_a_balanced_training_begins_with_equal_chances_under_its_weights() -> None:
    _, y = rare_rows()
    targets = Targets((Classification("y", "accuracy", ("common", "rare")),))
    network = Linear(targets, 3)
    begin_balanced(network.head, BALANCED, {"y": y})
    frequency = torch.bincount(y) / len(y)
    torch.testing.assert_close(network.head.bias.softmax(0), frequency)
    weighted = Supervised(targets, BALANCED, {"y": y}).loss(network.head.bias.expand(len(y), 2), {"y": y})
    torch.testing.assert_close(weighted, torch.tensor(2.0).log())


def test_without_weights_a_head_is_left_as_it_is() -> None:
    _, y = rare_rows()
    network = Linear(Targets((Classification("y", "accuracy", ("common", "rare")),)), 3)
    before = network.head.bias.clone()
    begin_balanced(network.head, TrainingConfig(), {"y": y})
    assert torch.equal(network.head.bias, before)
