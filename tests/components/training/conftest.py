"""The exclusive or of a bit in one input and a bit in the other, as embeddings."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from components.training.batches import EmbeddingSource
from tests.components.small_targets import NAME

WIDTH = 8
Xor = Callable[..., EmbeddingSource]


def make_xor(
    rows: int, seed: int, inputs: tuple[str, ...] = ("a", "b"), missing: float = 0.0
) -> EmbeddingSource:
    """Each input shows its own bit as a sign along one fixed direction, among unit noise."""
    generator = torch.Generator().manual_seed(seed)
    bits = torch.randint(0, 2, (rows, 2), generator=generator)
    embeddings = {}
    for column, name in enumerate(("a", "b")):
        noise = torch.randn(rows, WIDTH, generator=generator)
        noise[:, column] = 3.0 * (2 * bits[:, column] - 1)
        embeddings[name] = noise
    present = torch.rand(rows, 2, generator=generator) >= missing
    present[:, 0] |= ~present.any(1)
    columns = [("a", "b").index(name) for name in inputs]
    return EmbeddingSource(
        {name: embeddings[name] for name in inputs},
        present[:, columns],
        {NAME: bits[:, 0] ^ bits[:, 1]},
        torch.device("cpu"),
    )


@pytest.fixture
def xor() -> Xor:
    return make_xor
