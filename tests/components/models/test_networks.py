"""Whole networks: embeddings find their rows, hidden inputs are not looked at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from components.config.fusion import ConcatConfig, FusionConfig, LateConfig, TransformerConfig
from components.models.fusion import build_fusion
from components.models.networks import Fused, Joint, Part, Single
from components.targets import Head
from tests.components.small_targets import alone

TARGETS = alone(3)

CONFIGS: dict[str, FusionConfig] = {
    "concat": ConcatConfig(width=6, dropout=0.0),
    "late": LateConfig(),
    "transformer": TransformerConfig(width=6, heads=2, dropout=0.0),
}


class Scale(nn.Module):
    """An encoder that multiplies: its embedding shows which row it was."""

    def __init__(self, width: int = 4, tokens: bool = False) -> None:
        super().__init__()
        self.width, self.tokens = width, tokens
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        x = batch["x"].view(-1, 1) * torch.arange(1.0, self.width + 1) * self.weight
        return x.unsqueeze(1).repeat(1, 3, 1) if self.tokens else x


def part(values: list[float], rows: list[int]) -> Part:
    return Part({"x": torch.tensor(values)}, torch.tensor(rows))


def joint(name: str = "concat", tokens: bool = False) -> Joint:
    torch.manual_seed(0)
    fusion = build_fusion(CONFIGS[name], {"a": 4, "b": 4}, TARGETS)
    return Joint({"a": Scale(tokens=tokens), "b": Scale(tokens=tokens)}, Fused(fusion, TARGETS)).eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_fused_gives_logits_of_the_classes(name: str) -> None:
    fused = Fused(build_fusion(CONFIGS[name], {"a": 4, "b": 5}, TARGETS), TARGETS)
    present = torch.tensor([[True, False], [True, True]])
    assert fused({"a": torch.randn(2, 4), "b": torch.randn(2, 5)}, present).shape == (2, 3)
    assert fused.inputs == ("a", "b")


def test_late_fusion_needs_no_head() -> None:
    assert isinstance(Fused(build_fusion(LateConfig(), {"a": 4}, TARGETS), TARGETS).head, nn.Identity)


@pytest.mark.parametrize("tokens", [False, True], ids=["vector", "tokens"])
def test_a_single_is_its_encoder_and_a_linear_head(tokens: bool) -> None:
    single = Single("a", Scale(tokens=tokens), Head(4, TARGETS))
    outputs = single({"a": part([2.0, 3.0], [0, 1])}, torch.ones(2, 1, dtype=torch.bool))
    torch.testing.assert_close(outputs, single.head(torch.tensor([[2.0, 4, 6, 8], [3, 6, 9, 12]])))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("tokens", [False, True], ids=["vector", "tokens"])
def test_joint_puts_each_embedding_in_the_row_it_came_from(name: str, tokens: bool) -> None:
    network = joint(name, tokens)
    present = torch.tensor([[True, False], [False, True], [True, True]])
    outputs = network({"a": part([1.0, 2.0], [0, 2]), "b": part([3.0, 4.0], [1, 2])}, present)
    first = network({"a": part([1.0], [0])}, present[:1])
    second = network({"b": part([3.0], [0])}, present[1:2])
    third = network({"a": part([2.0], [0]), "b": part([4.0], [0])}, present[2:])
    # float32 sums in batches of other sizes
    torch.testing.assert_close(outputs, torch.cat([first, second, third]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_joint_does_not_look_at_inputs_that_are_hidden_while_training(name: str) -> None:
    network = joint(name)
    hidden = torch.tensor([[True, False], [True, True]])  # b was in both rows
    inputs = {"a": part([1.0, 2.0], [0, 1]), "b": part([3.0, 4.0], [0, 1])}
    other = {**inputs, "b": part([-99.0, 4.0], [0, 1])}
    torch.testing.assert_close(network(inputs, hidden), network(other, hidden), rtol=0, atol=0)


def test_gradients_reach_the_encoders_of_what_is_there() -> None:
    network = joint()
    present = torch.tensor([[True, False]])
    network({"a": part([1.0], [0]), "b": part([1.0], [0])}, present).sum().backward()
    assert network.encoders["a"].weight.grad.abs().sum() > 0
    assert network.encoders["b"].weight.grad.abs().sum() == 0
