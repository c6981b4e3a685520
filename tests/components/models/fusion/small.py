"""Small fusions and embeddings for the tests of this folder."""

from __future__ import annotations

import typing
from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor

from components.config.fusion import FusionConfig
from components.models.fusion import Fusion, build_fusion
from components.models.fusion.trees import EmbeddedRows, TreeFusion
from tests.components.small_targets import alone

WIDTHS = {"voice": 5, "image": 4, "text": 6, "depth": 3}  # not in sorted order
OUTPUTS = 3
TARGETS = alone(OUTPUTS)
SIZES: dict[str, Any] = {
    "width": 8,
    "heads": 2,
    "factor_width": 3,
    "rank": 2,
    "latents": 3,
    "bottlenecks": 2,
    "plugin": "soft_maximum",
    "options": {"width": 8},
    "rounds": 8,
}
KINDS: dict[str, Any] = {
    kind.model_fields["name"].default: kind for kind in typing.get_args(typing.get_args(FusionConfig)[0])
}


def config(name: str, **options: Any) -> FusionConfig:
    """The smallest sensible options of a fusion; a plugin must be installed by now."""
    fields = KINDS[name].model_fields
    return KINDS[name](**{key: value for key, value in SIZES.items() if key in fields} | options)


def build(name: str, names: tuple[str, ...] = ("image", "text", "voice"), seed: int = 0) -> Fusion:
    """A small fusion; the same seed gives the same weights. Trees are fitted, as they have no weights."""
    torch.manual_seed(seed)
    fusion = build_fusion(config(name), {key: WIDTHS[key] for key in names}, TARGETS)
    if isinstance(fusion, TreeFusion):
        fusion.load_state_dict(fitted(fusion.inputs, seed))
    return fusion


@cache
def fitted(names: tuple[str, ...], seed: int) -> dict[str, Tensor]:
    """The state of trees that have learned from a few rows."""
    torch.manual_seed(seed)
    fusion = build_fusion(config("trees"), {key: WIDTHS[key] for key in names}, TARGETS)
    assert isinstance(fusion, TreeFusion)
    train, val = (tree_rows(names, rows, seed) for rows in (120, 40))
    fusion.learn(train, val, {key: [0] for key in names}, hide=0.3, seed=seed)
    return fusion.state_dict()


def tree_rows(names: tuple[str, ...], rows: int, seed: int) -> EmbeddedRows:
    """Rows whose class follows from the first number of the first input, some of which lack an input."""
    embeddings = embed(rows, dict.fromkeys(names, 0), seed)
    labels = (embeddings[sorted(names)[0]][:, 0] > 0).long() + 1
    present = torch.rand(rows, len(names)) < 0.8
    present[~present.any(1), 0] = True
    return EmbeddedRows(embeddings, present, {TARGETS.primary.name: labels})


def subsets(count: int) -> list[tuple[bool, ...]]:
    """Every non-empty subset of ``count`` inputs, the whole last."""
    return [subset for subset in product([False, True], repeat=count) if any(subset)]


def embed(rows: int, tokens: dict[str, int], seed: int = 0) -> dict[str, Tensor]:
    """Embeddings: a vector where ``tokens`` says 0, else so many; every second row has only the first."""
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for name, count in tokens.items():
        value = torch.randn(rows, max(count, 1), WIDTHS[name], generator=generator)
        if count:
            value[::2, 1:] = 0
        result[name] = value if count else value[:, 0]
    return result
