"""Losses across modalities: against a few lines of NumPy, and blind to what is absent."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from scipy.linalg import inv, sqrtm
from scipy.special import log_softmax
from torch import Tensor, nn

from components.config.alignment import (
    AlignmentConfig,
    AlignmentObjective,
    ClipConfig,
    DCCAConfig,
    PositiveConfig,
    SigLipConfig,
)
from components.models.networks import Batch
from components.models.projections import Aligned
from components.objectives import ALIGNMENTS, Pairwise, build_alignment
from components.objectives.correlation import canonical_maps
from components.targets import Classification, Targets

TARGETS = Targets((Classification("label", "accuracy", ("a", "b", "c")),))
OBJECTIVES: dict[str, AlignmentObjective] = {
    "clip": ClipConfig(),
    "clip by class": ClipConfig(positives="class"),
    "siglip": SigLipConfig(),
    "siglip by class": SigLipConfig(positives="class"),
    "positive": PositiveConfig(),
    "dcca": DCCAConfig(),
}
ROWS, WIDTH = 12, 4
LABELS = torch.tensor([0, 1, 2, -1, 0, 1, 2, 0, 1, -1, 2, 0])  # two rows have no class


def outputs(inputs: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(ROWS, inputs, WIDTH, generator=torch.Generator().manual_seed(seed))


def everything(inputs: int = 2) -> Tensor:
    return torch.ones(ROWS, inputs, dtype=torch.bool)


def together(by_class: bool) -> np.ndarray:
    labels = LABELS.numpy()
    same = (labels[:, None] == labels) & (labels >= 0)[:, None] if by_class else np.zeros((ROWS, ROWS), bool)
    return same | np.eye(ROWS, dtype=bool)


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def clip(x: np.ndarray, y: np.ndarray, right: np.ndarray) -> float:
    logits = unit(x) @ unit(y).T / 0.07
    forth = [log_softmax(logits, 1)[i, right[i]].mean() for i in range(ROWS)]
    back = [log_softmax(logits, 0)[right[:, i], i].mean() for i in range(ROWS)]
    return -(np.mean(forth) + np.mean(back)) / 2


def siglip(x: np.ndarray, y: np.ndarray, right: np.ndarray) -> float:
    logits = unit(x) @ unit(y).T / 0.1 - 10
    return float(np.log1p(np.exp(-np.where(right, 1, -1) * logits)).sum() / ROWS)


def vicreg(x: np.ndarray, y: np.ndarray, right: np.ndarray) -> float:
    def variance(z: np.ndarray) -> float:
        return np.maximum(0, 1 - np.sqrt(z.var(0, ddof=1) + 1e-4)).mean()

    def covariance(z: np.ndarray) -> float:
        c = np.cov(z.T)
        return (c[~np.eye(WIDTH, dtype=bool)] ** 2).sum() / WIDTH

    spread, entangled = variance(x) + variance(y), covariance(x) + covariance(y)
    return 25 * ((x - y) ** 2).mean() + 25 * spread + entangled


def dcca(x: np.ndarray, y: np.ndarray, right: np.ndarray) -> float:
    x, y = x - x.mean(0), y - y.mean(0)
    one, other = (z.T @ z / (ROWS - 1) + 1e-3 * np.eye(WIDTH) for z in (x, y))
    t = inv(sqrtm(one)) @ (x.T @ y / (ROWS - 1)) @ inv(sqrtm(other))
    return -np.linalg.norm(t, "nuc") / WIDTH


REFERENCES = {"clip": clip, "siglip": siglip, "positive": vicreg, "dcca": dcca}


def loss_of(objective: Pairwise, given: Tensor, present: Tensor) -> Tensor:
    return objective.loss(given, present, {"label": LABELS})


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_is_the_papers(name: str) -> None:
    given = outputs().double()
    x, y = given.unbind(1)
    expected = REFERENCES[name.split()[0]](x.numpy(), y.numpy(), together("class" in name))
    loss = loss_of(build_alignment(OBJECTIVES[name], TARGETS), given, everything())
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)  # float32


@pytest.mark.parametrize("name", OBJECTIVES)
def test_several_inputs_are_the_mean_over_pairs_of_the_rows_that_have_both(name: str) -> None:
    objective, given = build_alignment(OBJECTIVES[name], TARGETS), outputs(3)
    present = everything(3)
    present[:4, 2] = False
    parts = []
    for one, other in ((0, 1), (0, 2), (1, 2)):
        rows = present[:, one] & present[:, other]
        pair = given[rows][:, [one, other]]
        parts.append(
            objective.loss(pair, torch.ones(len(pair), 2, dtype=torch.bool), {"label": LABELS[rows]})
        )
    torch.testing.assert_close(loss_of(objective, given, present), torch.stack(parts).mean())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_reach_every_parameter_and_no_absent_input(name: str) -> None:
    torch.manual_seed(0)
    objective = build_alignment(OBJECTIVES[name], TARGETS)
    network = Aligned({"a": 5, "b": 3, "c": 6}, AlignmentConfig(width=WIDTH, hidden=8))
    embeddings = {name: torch.randn(ROWS, width, requires_grad=True) for name, width in (("a", 5), ("b", 3))}
    embeddings["c"] = torch.randn(ROWS, 2, 6, requires_grad=True)  # tokens
    present = everything(3)
    present[0, 1] = present[5, 2] = False
    objective(network, Batch(embeddings, present, {"label": LABELS}), present).backward()
    for parameter in [*network.parameters(), *objective.parameters()]:
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    # the last bias of a projection is taken off again by what centres its outputs
    weights = [p for key, p in network.named_parameters() if not key.endswith("3.bias") or name != "dcca"]
    assert all(parameter.grad.abs().sum() > 0 for parameter in weights)
    assert embeddings["b"].grad[0].abs().sum() == 0
    assert embeddings["c"].grad[5].abs().sum() == 0
    assert embeddings["b"].grad[1].abs().sum() > 0


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_an_absent_input_holds_does_not_matter(name: str) -> None:
    objective = build_alignment(OBJECTIVES[name], TARGETS)
    network = Aligned({"a": 3, "b": 3}, AlignmentConfig(width=WIDTH))
    present = everything()
    present[2, 0] = present[7, 1] = False
    embeddings = {"a": torch.randn(ROWS, 3), "b": torch.randn(ROWS, 3)}
    other = {key: value.clone() for key, value in embeddings.items()}
    other["a"][2], other["b"][7] = float("nan"), 1e9
    values: Mapping[str, Tensor] = {"label": LABELS}
    one = objective(network, Batch(embeddings, present, values), present)
    torch.testing.assert_close(
        objective(network, Batch(other, present, values), present), one, rtol=0, atol=0
    )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_rows_without_a_pair_give_no_loss_and_no_gradient(name: str) -> None:
    given = outputs().requires_grad_()
    present = torch.zeros(ROWS, 2, dtype=torch.bool)
    present[0] = True  # one row is nothing to compare
    loss = loss_of(build_alignment(OBJECTIVES[name], TARGETS), given, present)
    loss.backward()
    assert loss == 0
    assert given.grad is not None
    assert given.grad.abs().sum() == 0


@pytest.mark.parametrize("name", OBJECTIVES)
def test_linear_views_of_one_thing_are_aligned(name: str) -> None:
    torch.manual_seed(1)
    # two inputs are two linear views of three hidden numbers; one class is one place of them
    generator = torch.Generator().manual_seed(1)
    classes = torch.arange(240) % 3
    centres = 3 * torch.randn(3, 3, generator=generator)
    hidden = centres[classes] + torch.randn(240, 3, generator=generator)
    views = {key: hidden @ torch.randn(3, 6, generator=generator) for key in ("a", "b")}
    network = Aligned({"a": 6, "b": 6}, AlignmentConfig(width=WIDTH, hidden=0))
    objective = build_alignment(OBJECTIVES[name], TARGETS)
    optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], lr=0.02)
    present = torch.ones(240, 2, dtype=torch.bool)
    batch = Batch(views, present, {"label": classes})
    _, before = objective.evaluate(network(views, present).detach(), batch.targets, present)
    for _ in range(150):
        optimizer.zero_grad()
        objective(network, batch, present).backward()
        optimizer.step()
    _, after = objective.evaluate(network(views, present).detach(), batch.targets, present)
    # chance is .025 for a pair and .34 for a class; normalising a view hides a part of what is shared
    assert after > max(before, 0.6 if "class" in name else 0.2), (before, after)


def test_every_objective_is_built_and_has_its_own_parameters() -> None:
    assert set(ALIGNMENTS) == {"clip", "siglip", "positive", "dcca"}
    learned = build_alignment(SigLipConfig(temperature=0.5, bias=-3), TARGETS)
    assert {key: float(value) for key, value in learned.state_dict().items()} == pytest.approx(
        {"log_scale": math.log(2), "bias": -3.0}
    )


def test_canonical_maps_bring_two_spaces_together_and_weigh_by_correlation() -> None:
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(4000, 2, generator=generator)
    views = []
    for _ in range(2):  # two of four dimensions are shared, behind a map of the view's own
        own = torch.randn(4000, 2, generator=generator)
        views.append(torch.cat([shared, own], 1) @ torch.randn(4, 4, generator=generator) + 5)
    given, present = torch.stack(views, 1), torch.ones(4000, 2, dtype=torch.bool)
    maps, centres = canonical_maps(given, present, 1e-6)
    mapped = torch.einsum("nmw,mwv->nmv", given - centres, maps)
    torch.testing.assert_close(mapped[:, 0, :2], mapped[:, 1, :2], rtol=0, atol=0.02)
    # what is not shared is left to 1 / sqrt(4000) of correlation, and so weighs next to nothing
    assert mapped[:, :, 2:].std() < 0.05 * mapped[:, :, :2].std()


def test_maps_behind_projections_do_what_they_do_to_outputs() -> None:
    network = Aligned({"a": 3, "b": 5}, AlignmentConfig(width=WIDTH, hidden=7))
    embeddings, present = {"a": torch.randn(ROWS, 3), "b": torch.randn(ROWS, 5)}, everything()
    before = network(embeddings, present)
    maps, centres = torch.randn(2, WIDTH, WIDTH), torch.randn(2, WIDTH)
    network.turn(maps, centres)
    expected = torch.einsum("nmw,mwv->nmv", before - centres, maps)
    torch.testing.assert_close(network(embeddings, present), expected, rtol=1e-4, atol=1e-5)  # float32


def test_hidden_inputs_give_zeros_and_unit_vectors_are_of_length_one() -> None:
    network: nn.Module = Aligned({"a": 3, "b": 3}, AlignmentConfig(width=WIDTH))
    present = torch.tensor([[True, False], [True, True]])
    projected = network({"a": torch.randn(2, 3), "b": torch.randn(2, 3)}, present)
    assert projected.shape == (2, 2, WIDTH)
    assert projected[0, 1].abs().sum() == 0
    torch.testing.assert_close(network.unit("a", torch.randn(2, 5, 3)).norm(dim=1), torch.ones(2))
