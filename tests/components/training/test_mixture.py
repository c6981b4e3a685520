"""Weights of several learners: the useless get none, complementary ones share."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.targets import Classification, Regression, Targets
from components.training.greedy import select
from components.training.mixture import learn_mixture, mix

CLASSES = Targets((Classification("label", "accuracy", ("no", "yes")),))
NUMBER = Targets((Regression("price", "rmse", 0.0, 1.0, "gaussian"),))
ROWS = 600


def logits(score: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([-score / 2, score / 2], axis=1)).float()


@pytest.fixture
def views() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log odds by two views that are independent given the label, and the labels they were drawn for."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, ROWS)
    first, second = (2.0 * rng.normal(2 * labels - 1, 1.0) for _ in range(2))  # 2 x is the log odds
    return first, second, labels


def folds() -> np.ndarray:
    return np.arange(ROWS) % 5


def log_loss(natural: torch.Tensor, labels: np.ndarray) -> float:
    return float(torch.nn.functional.cross_entropy(natural, torch.from_numpy(labels)))


def test_a_useless_learner_has_no_weight(views: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    first, _, labels = views
    noise = np.random.default_rng(1).normal(size=ROWS)
    values = {"label": torch.from_numpy(labels)}
    mixture, fair = learn_mixture(CLASSES, [logits(first), logits(noise)], values, folds())
    assert mixture.shares.tolist() == [[1.0], [0.0]]
    assert not mixture.scale[1].any()
    torch.testing.assert_close(fair.argmax(1), logits(first).argmax(1))


def test_complementary_learners_beat_each(views: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    first, second, labels = views
    both = [logits(first), logits(second)]
    mixture, fair = learn_mixture(CLASSES, both, {"label": torch.from_numpy(labels)}, folds())
    assert mixture.shares.squeeze(1).tolist() == pytest.approx([0.5, 0.5], abs=0.15)
    for alone in both:
        assert log_loss(fair, labels) < log_loss(alone, labels) - 0.02
        assert (fair.argmax(1).numpy() == labels).mean() > (alone.argmax(1).numpy() == labels).mean()


def test_confidence_that_is_too_high_is_divided_out(
    views: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    first, second, labels = views
    values = {"label": torch.from_numpy(labels)}
    plain = mix(CLASSES, [logits(first), logits(second)], values, alone=False)
    loud = mix(CLASSES, [logits(first), logits(10 * second)], values, alone=False)
    torch.testing.assert_close(loud.shares, plain.shares)
    torch.testing.assert_close(loud.scale[1], plain.scale[1] / 10, rtol=0.05, atol=0)


def test_rows_are_predicted_by_weights_from_other_rows() -> None:
    """Two learners, each right in one half: what is learned from the other half picks the wrong one."""
    labels = np.random.default_rng(0).integers(0, 2, ROWS)
    half = np.arange(ROWS) % 2
    signal = np.where(labels == 1, 3.0, -3.0)
    learners = [logits(np.where(half == side, signal, -signal)) for side in (0, 1)]
    _, fair = learn_mixture(CLASSES, learners, {"label": torch.from_numpy(labels)}, half)
    assert (fair.argmax(1).numpy() == labels).mean() <= 0.5 + 1e-9


def test_each_target_has_weights_of_its_own(views: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    first, _, labels = views
    rng = np.random.default_rng(2)
    truth = rng.normal(size=ROWS)
    targets = Targets((CLASSES.primary, NUMBER.primary))

    def number(mean: np.ndarray, precision: float) -> torch.Tensor:
        return torch.from_numpy(np.stack([mean * precision, np.full(ROWS, precision)], axis=1)).float()

    reads_label = torch.cat([logits(first), number(np.zeros(ROWS), 1.0)], dim=1)
    reads_number = torch.cat([logits(np.zeros(ROWS)), number(truth + rng.normal(0, 0.1, ROWS), 50.0)], dim=1)
    values = {"label": torch.from_numpy(labels), "price": torch.from_numpy(truth)}
    mixture, fair = learn_mixture(targets, [reads_label, reads_number], values, folds())
    assert mixture.shares.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert fair.shape == (ROWS, 4)


def test_a_target_without_a_known_row_goes_to_the_first_learner() -> None:
    natural = [torch.zeros(ROWS, 2), torch.ones(ROWS, 2)]
    unknown = {"label": torch.full((ROWS,), -1)}
    assert mix(CLASSES, natural, unknown, alone=False).shares.tolist() == [[1.0], [0.0]]
    assert learn_mixture(CLASSES, natural, unknown, folds())[0].shares.tolist() == [[1.0], [0.0]]


def test_selection_counts_members_until_the_loss_rises() -> None:
    def loss(members: object) -> float:
        assert isinstance(members, list)
        return abs(sum(members) / len(members) - 2.5)

    assert sorted(select([1.0, 3.5], loss)) == [1.0, 3.5, 3.5]


def test_outputs_are_what_a_head_makes_natural_parameters_of() -> None:
    natural = torch.tensor([[1.0, 0.5], [3.0, 0.01], [-2.0, 50.0]])
    torch.testing.assert_close(NUMBER.natural(NUMBER.outputs(natural)), natural)
    torch.testing.assert_close(CLASSES.outputs(natural), natural)
