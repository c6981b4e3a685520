"""Each loss of distillation against a few lines of numpy, and what the objective does with them."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.config.distill import ObjectiveConfig
from components.config.fusion import ConcatConfig
from components.config.training import TrainingConfig
from components.models.fusion import build_fusion
from components.models.networks import Batch, Fused, Single
from components.objectives import Distillation, Supervised
from components.objectives.distillation import (
    EMBEDDING,
    NATURAL,
    angle_loss,
    distance_loss,
    info_nce,
    unit_distance,
)
from components.objectives.divergence import divergence
from components.targets import Classification, Head, Multilabel, Regression, Targets
from components.training.batches import EmbeddingSource, WithFurther

CLASS = Classification("label", "accuracy", ("ant", "bee", "cat"))
LABELS = Multilabel("tags", "f1_macro", ("a", "b"), "|", "none")
NUMBER = Regression("age", "rmse", 40.0, 10.0, "gaussian")
CLOSE = {"rtol": 1e-9, "atol": 1e-12}  # float64 on both sides


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values)


def huber(difference: np.ndarray) -> np.ndarray:
    size = np.abs(difference)
    return np.where(size <= 1, 0.5 * size**2, size - 0.5)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_classes_are_compared_softened_times_the_square_of_the_temperature(temperature: float) -> None:
    student, teacher = draw(5, 3), 3 * draw(5, 3, seed=1)
    p, q = (
        np.exp(x / temperature) / np.exp(x / temperature).sum(1, keepdims=True) for x in (teacher, student)
    )
    expected = (p * np.log(p / q)).sum(1) * temperature**2
    np.testing.assert_allclose(
        divergence(CLASS, tensor(student), tensor(teacher), temperature), expected, **CLOSE
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_labels_are_compared_one_by_one(temperature: float) -> None:
    student, teacher = draw(5, 2), 3 * draw(5, 2, seed=1)
    p, q = (1 / (1 + np.exp(-x / temperature)) for x in (teacher, student))
    expected = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(1) * temperature**2
    np.testing.assert_allclose(
        divergence(LABELS, tensor(student), tensor(teacher), temperature), expected, **CLOSE
    )


def test_numbers_are_compared_as_gaussians_and_not_softened() -> None:
    mean, other_mean = draw(6), draw(6, seed=1)
    std, other_std = np.exp(draw(6, seed=2)), np.exp(draw(6, seed=3))
    student = np.stack([mean / std**2, 1 / std**2], axis=1)
    teacher = np.stack([other_mean / other_std**2, 1 / other_std**2], axis=1)
    expected = np.log(std / other_std) + (other_std**2 + (mean - other_mean) ** 2) / (2 * std**2) - 0.5
    for temperature in (1.0, 4.0):
        value = divergence(NUMBER, tensor(student), tensor(teacher), temperature)
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)


def test_distances_are_compared_relative_to_their_mean() -> None:
    student, teacher = draw(5, 4), 20 * draw(5, 7, seed=1)
    pairs = [(i, j) for i in range(5) for j in range(i)]
    mine, theirs = (np.array([np.linalg.norm(x[i] - x[j]) for i, j in pairs]) for x in (student, teacher))
    expected = huber(mine / mine.mean() - theirs / theirs.mean()).mean()
    assert float(distance_loss(tensor(student), tensor(teacher))) == pytest.approx(expected, rel=1e-9)
    assert float(distance_loss(tensor(teacher), tensor(9 * teacher + 1))) == pytest.approx(0, abs=1e-12)


def test_angles_are_compared_over_all_triplets() -> None:
    student, teacher = draw(5, 4), draw(5, 7, seed=1)

    def cosines(x: np.ndarray) -> np.ndarray:
        values = []
        for j, i, k in permutations(range(5), 3):
            left, right = x[i] - x[j], x[k] - x[j]
            values.append(left @ right / np.linalg.norm(left) / np.linalg.norm(right))
        return np.array(values)

    expected = huber(cosines(student) - cosines(teacher)).mean()
    assert float(angle_loss(tensor(student), tensor(teacher))) == pytest.approx(expected, rel=1e-9)
    assert float(angle_loss(tensor(teacher), tensor(9 * teacher + 1))) == pytest.approx(0, abs=1e-12)


def test_features_are_compared_by_direction_and_alignment_tells_partners() -> None:
    student, teacher = draw(4, 3), draw(4, 3, seed=1)
    one, other = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (student, teacher))
    expected = ((one - other) ** 2).sum(1).mean()
    assert float(unit_distance(tensor(student), tensor(teacher))) == pytest.approx(expected, rel=1e-9)
    scores = np.exp(one @ other.T / 0.07)
    both = -np.log(np.diag(scores) / scores.sum(0)) - np.log(np.diag(scores) / scores.sum(1))
    assert float(info_nce(tensor(student), tensor(teacher))) == pytest.approx(both.mean() / 2, rel=1e-6)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_equal_rows_and_small_batches_have_finite_gradients(loss: object) -> None:
    for rows in (1, 2, 4):
        vectors = torch.ones(rows, 3, requires_grad=True)
        loss(vectors, torch.randn(rows, 5)).backward()  # type: ignore[operator]
        assert vectors.grad is not None
        assert torch.isfinite(vectors.grad).all()


class Identity(nn.Module):
    """A network whose embedding is its input."""

    def __init__(self, targets: Targets) -> None:
        super().__init__()
        self.head = Head(4, targets)

    def vector(self, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
        return inputs["x"]

    def forward(self, inputs: dict[str, Tensor], present: Tensor) -> Tensor:
        return self.head(self.vector(inputs, present))


EVERYTHING = {
    "soft": {"weight": 0.3, "temperature": 3.0},
    "feature": 0.5,
    "relational": {"distance": 0.6, "angle": 0.7},
    "alignment": 0.8,
}


def objective(config: dict[str, object]) -> tuple[Identity, Distillation]:
    targets = Targets((CLASS,))
    torch.manual_seed(0)
    supervised = Supervised(targets, TrainingConfig(), {"label": torch.tensor([0, 1, 2])})
    return Identity(targets), Distillation(supervised, ObjectiveConfig.model_validate(config), 4, 6)


def batch(natural: Tensor) -> Batch:
    torch.manual_seed(1)
    inputs, present = {"x": torch.randn(5, 4)}, torch.ones(5, 1, dtype=torch.bool)
    further = {NATURAL: natural, EMBEDDING: torch.randn(5, 6)}
    return Batch(inputs, present, {"label": torch.tensor([0, 1, 2, 0, 1])}, further)


def test_the_parts_are_weighed_as_configured() -> None:
    network, taught = objective(EVERYTHING)
    rows = batch(torch.randn(5, 3, generator=torch.Generator().manual_seed(2)))
    x, teacher = rows.inputs["x"], rows.further[EMBEDDING]
    natural = network.head(x)
    assert taught.regressor is not None
    assert taught.map is not None
    assert taught.teacher_map is not None
    expected = (
        0.7 * taught.supervised.loss(natural, rows.targets)
        + 0.3 * divergence(CLASS, natural, rows.further[NATURAL], 3.0).mean()
        + 0.5 * unit_distance(taught.regressor(x), teacher)
        + 0.6 * distance_loss(x, teacher)
        + 0.7 * angle_loss(x, teacher)
        + 0.8 * info_nce(taught.map(x), taught.teacher_map(teacher))
    )
    loss = taught(network, rows, rows.present)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(parameter.grad is not None for parameter in [*network.parameters(), *taught.parameters()])


def test_rows_without_an_answer_count_with_their_labels_alone() -> None:
    network, taught = objective(EVERYTHING)
    rows = batch(torch.full((5, 3), torch.nan))
    labels = taught.supervised.loss(network.head(rows.inputs["x"]), rows.targets)
    torch.testing.assert_close(taught(network, rows, rows.present), labels)


def test_weights_of_0_learn_nothing_more_and_all_of_them_are_an_error() -> None:
    _, taught = objective({"soft": {"weight": 0.5}})
    assert not list(taught.parameters())
    with pytest.raises(ValueError, match="learn nothing from its teacher"):
        ObjectiveConfig.model_validate({"soft": {"weight": 0}})


def test_further_tensors_follow_their_rows() -> None:
    source = EmbeddingSource(
        {"x": torch.arange(4.0)}, torch.ones(4, 1, dtype=torch.bool), {}, torch.device("cpu")
    )
    batch = WithFurther(source, {"t": 10 * torch.arange(4.0)}, torch.device("cpu")).batch(
        torch.tensor([2, 0])
    )
    assert batch.further["t"].tolist() == [20, 0]
    assert batch.inputs["x"].tolist() == [2, 0]


def test_a_network_is_its_head_over_its_embedding() -> None:
    targets = Targets((CLASS,))
    fused = Fused(build_fusion(ConcatConfig(width=5), {"a": 4}, targets), targets).eval()
    inputs, present = {"a": torch.randn(3, 4)}, torch.ones(3, 1, dtype=torch.bool)
    assert fused.vector(inputs, present).shape == (3, 5)
    torch.testing.assert_close(fused(inputs, present), fused.head(fused.vector(inputs, present)))
    assert hasattr(Single, "vector")
