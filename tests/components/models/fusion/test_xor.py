"""Task that only fusion can learn: the label is the XOR of a bit in one embedding and a bit in the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from components.models.fusion import FUSIONS, build_fusion
from components.models.fusion.trees import EmbeddedRows, TreeFusion
from components.models.networks import Fused
from tests.components.models.fusion.small import KINDS, config
from tests.components.small_targets import alone

ADDITIVE = {
    "late": "adds logits of single inputs: no sum of a function of a and one of b is their XOR",
    "product_of_experts": "averages what single inputs say; only their precisions interact",
}


def rows(count: int, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Bits as the sign along one direction among noise; every second row, on average, is of class 1."""
    generator = torch.Generator().manual_seed(seed)
    bits = torch.randint(2, (2, count), generator=generator)
    directions = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    noise = 0.3 * torch.randn(2, count, 8, generator=generator)
    a, b = (2 * bits.unsqueeze(-1) - 1) * directions.unsqueeze(1) + noise
    return {"a": a, "b": b}, bits[0] ^ bits[1]


def accuracy(network: Fused, embeddings: dict[str, Tensor], present: list[bool], labels: Tensor) -> float:
    predicted = network(embeddings, torch.tensor([present]).expand(len(labels), -1)).argmax(1)
    return (predicted == labels).float().mean().item()


def test_trees_learn_xor_from_both_inputs_and_from_neither_alone() -> None:
    fusion = build_fusion(config("trees", rounds=100), {"a": 8, "b": 8}, alone(2))
    assert isinstance(fusion, TreeFusion)

    def embedded(count: int, seed: int) -> EmbeddedRows:
        embeddings, labels = rows(count, seed)
        return EmbeddedRows(embeddings, torch.ones(count, 2, dtype=torch.bool), {"label": labels})

    columns = {name: list(range(8)) for name in "ab"}
    fusion.learn(embedded(400, 1), embedded(200, 3), columns, hide=0.2, seed=0)
    network, (fresh, wanted) = Fused(fusion, alone(2)), rows(400, 2)
    assert accuracy(network, fresh, [True, True], wanted) > 0.9
    assert accuracy(network, fresh, [True, False], wanted) < 0.6
    assert accuracy(network, fresh, [False, True], wanted) < 0.6


@pytest.mark.parametrize("name", sorted(set(FUSIONS) - set(ADDITIVE) - {"trees"}))
def test_xor_is_learned_from_both_inputs_and_from_neither_alone(name: str) -> None:
    torch.manual_seed(0)
    sizes = {"options": {"width": 16}} if name == "plugin" else {"width": 16, "dropout": 0.0}
    options = {key: value for key, value in sizes.items() if key in KINDS[name].model_fields}
    network = Fused(build_fusion(config(name, **options), {"a": 8, "b": 8}, alone(2)), alone(2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    embeddings, labels = rows(128, 1)
    present = torch.ones(128, 2, dtype=torch.bool)
    for _ in range(120):
        optimizer.zero_grad()
        F.cross_entropy(network(embeddings, present), labels).backward()
        optimizer.step()
    fresh, wanted = rows(400, 2)
    network.eval()
    # the bits stand several deviations apart: a fusion that has learned XOR makes no mistakes worth the name
    assert accuracy(network, fresh, [True, True], wanted) > 0.98
    # one bit says nothing: .5, with a standard error of .025 over 400 rows
    assert accuracy(network, fresh, [True, False], wanted) < 0.6
    assert accuracy(network, fresh, [False, True], wanted) < 0.6
