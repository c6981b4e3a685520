"""Contract of every kind of target, against formulas of a few lines of NumPy."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from components.targets import AnyTarget, Head, Multilabel, Regression, Targets
from tests.components.small_targets import KINDS, classes, drawn_natural, drawn_values, labels, number

C = [0, 0, 1]
every_kind = pytest.mark.parametrize("kind", KINDS)


class TestCells:
    """encode and known: what a cell of the table becomes."""

    @pytest.mark.parametrize(
        ("kind", "cells", "expected"),
        [
            ("classification", ["class 2", None, "class 0", "unheard of"], [2, -1, 0, -1]),
            ("ordinal", ["4", None, "1"], [3, -1, 0]),
            ("multilabel", ["a|c", None, "none", " b ", "c|z"], [[1, 0, 1], None, [0] * 3, [0, 1, 0], C]),
            ("regression", ["1.5", None, " -2e3 ", "7"], [1.5, None, -2000, 7]),
        ],
    )  # fmt: skip
    def test_cells_become_numbers_and_empty_ones_are_not_known(
        self, kind: str, cells: list[str | None], expected: list[Any]
    ) -> None:
        target = KINDS[kind]
        encoded = target.encode(cells)
        unknown = np.full(target.width, np.nan) if isinstance(target, Multilabel) else np.nan
        wanted = np.array([unknown if value is None else value for value in expected])
        np.testing.assert_array_equal(encoded, wanted)
        assert encoded.dtype == (np.int64 if kind in ("classification", "ordinal") else np.float64)
        known = [value is not None and value != -1 for value in expected]
        assert target.known(encoded).tolist() == known

    @pytest.mark.parametrize("kind", ["classification", "ordinal", "multilabel"])
    def test_an_answer_in_words_is_read_back_as_it_was(self, kind: str) -> None:
        target = KINDS[kind]
        values = drawn_values(target, 40)
        sure = values if values.ndim > 1 else np.eye(target.width)[values]
        np.testing.assert_array_equal(target.encode(target.labels(sure)), values)

    def test_a_number_in_words_has_four_digits(self) -> None:
        assert number().labels(np.array([[12345.678, 1.0], [0.00123456, 1.0]])) == ["1.235e+04", "0.001235"]

    def test_no_label_is_told_by_its_own_word(self) -> None:
        target = Multilabel("tags", "f1_macro", ("x", "y"), ", ", "nothing")
        assert target.labels(np.array([[0.1, 0.2], [0.9, 0.5]])) == ["nothing", "x, y"]
        np.testing.assert_array_equal(target.encode(["nothing", "y, x"]), [[0, 0], [1, 1]])

    @every_kind
    def test_no_cells_are_no_rows(self, kind: str) -> None:
        encoded = KINDS[kind].encode([])
        assert len(encoded) == 0
        assert KINDS[kind].known(encoded).tolist() == []


def expected_losses(
    target: AnyTarget, natural: np.ndarray, values: np.ndarray, smoothing: float
) -> np.ndarray:
    """The formulas of the docstrings, in NumPy."""
    if isinstance(target, Regression):
        mean, precision, z = natural[:, 0] / natural[:, 1], natural[:, 1], (values - target.mean) / target.std
        likelihood = 0.5 * precision * (z - mean) ** 2 - 0.5 * np.log(precision)
        distance = np.abs(z - mean)
        match target.loss:
            case "gaussian":
                return likelihood
            case "huber":
                return likelihood + np.where(distance < 1, distance**2 / 2, distance - 0.5)
            case _:
                return likelihood + distance
    if isinstance(target, Multilabel):
        soft = values * (1 - smoothing) + smoothing / 2
        p = special.expit(natural)
        return -(soft * np.log(p) + (1 - soft) * np.log(1 - p)).mean(1)
    p = special.softmax(natural, axis=1)
    truth = np.eye(target.width)[values]
    soft = truth * (1 - smoothing) + smoothing / target.width
    cross_entropy = -(soft * np.log(p)).sum(1)
    if target.task == "ordinal":
        cross_entropy += ((p.cumsum(1) - truth.cumsum(1)) ** 2).sum(1)
    return cross_entropy


@every_kind
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_losses_are_those_of_the_formulas(kind: str, smoothing: float) -> None:
    target = KINDS[kind]
    natural, values = drawn_natural(target, 50), drawn_values(target, 50)
    losses = target.losses(natural, torch.from_numpy(values), smoothing)
    np.testing.assert_allclose(losses.numpy(), expected_losses(target, natural.numpy(), values, smoothing))


@every_kind
def test_gradients_of_losses_reach_every_output_and_are_finite_even_far_out(kind: str) -> None:
    target = KINDS[kind]
    values = torch.from_numpy(drawn_values(target, 30))
    for scale in (1.0, 50.0):
        outputs = (torch.randn(30, target.width, generator=torch.Generator().manual_seed(0)) * scale).float()
        outputs.requires_grad = True
        target.losses(target.natural(outputs), values).mean().backward()
        assert outputs.grad is not None
        assert torch.isfinite(outputs.grad).all()
    assert (outputs.grad.abs().sum(0) > 0).all()


def test_the_mean_of_a_robust_loss_is_not_pulled_by_how_sure_it_is() -> None:
    # huber and absolute: the likelihood teaches the precision alone
    target = number(loss="absolute")
    natural = torch.tensor([[2.0, 1.0], [2.0, 4.0]], requires_grad=True)
    mean = natural[:, 0] / natural[:, 1]
    mean.retain_grad()
    truth = torch.tensor([-1.0, -1.0]) * target.std + target.mean
    shift_gradient = torch.autograd.grad(target.losses(natural, truth).sum(), natural)[0][:, 0]
    torch.testing.assert_close(shift_gradient, 1 / natural[:, 1].detach())  # d|mean - z| / d shift


class TestWeights:
    def test_classes_weigh_by_the_inverse_of_their_frequency(self) -> None:
        values = np.array([0] * 6 + [1] * 3 + [2] + [-1] * 5)
        weights = classes(3).balance(values)
        assert weights is not None
        np.testing.assert_allclose(weights.numpy(), [10 / 18, 10 / 9, 10 / 3], rtol=1e-6)
        assert weights.numpy()[values[:10]].mean() == pytest.approx(1, rel=1e-6)

    def test_ordered_classes_weigh_in_both_parts_of_their_loss(self) -> None:
        target = KINDS["ordinal"]
        natural, values = drawn_natural(target, 20), torch.from_numpy(drawn_values(target, 20))
        weights = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
        losses = target.losses(natural, values, 0.0, weights)
        torch.testing.assert_close(losses, target.losses(natural, values) * weights[values])

    def test_a_rare_label_weighs_by_the_rows_without_it(self) -> None:
        values = np.array([[1, 0, 0], [1, 0, 1], [1, 1, 0], [0, 0, 0], [np.nan] * 3])
        weights = labels("abc").balance(values)
        assert weights is not None
        assert weights.tolist() == pytest.approx([1 / 3, 3, 3])
        target, natural = labels("abc"), drawn_natural(labels("abc"), 4)
        p, known = special.expit(natural.numpy()), values[:4]
        expected = -(weights.numpy() * known * np.log(p) + (1 - known) * np.log(1 - p)).mean(1)
        losses = target.losses(natural, torch.from_numpy(known), weights=weights.double())
        np.testing.assert_allclose(losses.numpy(), expected)

    def test_numbers_weigh_alike(self) -> None:
        assert number().balance(np.arange(9.0)) is None


class TestPredictions:
    @every_kind
    def test_predictions_are_those_of_the_distribution(self, kind: str) -> None:
        target = KINDS[kind]
        natural = drawn_natural(target, 40)
        predictions = target.predict(natural).numpy()
        n = natural.numpy()
        if isinstance(target, Regression):
            mean, std = n[:, 0] / n[:, 1] * target.std + target.mean, target.std / np.sqrt(n[:, 1])
            np.testing.assert_allclose(predictions, np.stack([mean, std], 1))
        elif isinstance(target, Multilabel):
            np.testing.assert_allclose(predictions, special.expit(n))
        else:
            np.testing.assert_allclose(predictions, special.softmax(n, axis=1))
        assert predictions.shape == (40, len(target.columns))

    @every_kind
    def test_the_loss_is_the_negative_log_likelihood_of_the_prediction(self, kind: str) -> None:
        target = KINDS[kind]
        natural, values = drawn_natural(target, 30), drawn_values(target, 30)
        predictions = target.predict(natural).numpy()
        losses = target.row_losses(values, predictions)
        if isinstance(target, Regression):
            expected = -stats.norm.logpdf(values, *predictions.T)
        elif isinstance(target, Multilabel):
            expected = -stats.bernoulli.logpmf(values, predictions).sum(1)
        else:
            expected = -np.log(predictions[np.arange(30), values])
        np.testing.assert_allclose(losses, expected)

    @every_kind
    def test_what_is_natural_stays_as_it_is_when_brought_back(self, kind: str) -> None:
        target = KINDS[kind]
        natural = drawn_natural(target, 20)
        torch.testing.assert_close(target.proper(natural), natural)
        torch.testing.assert_close(target.proper(natural, natural / 2), natural)

    @every_kind
    def test_a_difference_that_is_no_distribution_becomes_one(self, kind: str) -> None:
        target = KINDS[kind]
        some, more = drawn_natural(target, 50), 3 * drawn_natural(target, 50, seed=1)
        values, predictions = drawn_values(target, 50), target.predict(target.proper(some - more)).numpy()
        target.check(values, predictions)  # raises where they are not predictions
        assert np.isfinite(target.row_losses(values, predictions)).all()

    def test_a_precision_that_falls_short_is_raised_to_the_least(self) -> None:
        natural, least = torch.tensor([[0.9, -0.5], [0.9, 2.0]]), torch.tensor([[0.3, 0.5], [0.3, 0.5]])
        torch.testing.assert_close(number().proper(natural, least), torch.tensor([[0.9, 0.5], [0.9, 2.0]]))
        assert number().proper(natural)[0, 1] == pytest.approx(1e-4)

    @every_kind
    def test_a_mixture_of_equals_is_one_of_them(self, kind: str) -> None:
        target = KINDS[kind]
        predictions = target.predict(drawn_natural(target, 20))
        mixture = target.predict(target.mix([predictions, predictions, predictions]))
        torch.testing.assert_close(mixture, predictions, rtol=1e-6, atol=1e-9)

    @every_kind
    def test_a_mixture_is_the_average_of_the_distributions(self, kind: str) -> None:
        target = KINDS[kind]
        parts = [target.predict(drawn_natural(target, 15, seed)) for seed in range(3)]
        mixture = target.predict(target.mix(parts)).numpy()
        stacked = np.stack([part.numpy() for part in parts])
        if isinstance(target, Regression):
            mean = stacked[..., 0].mean(0)  # law of total variance
            variance = (stacked[..., 1] ** 2).mean(0) + stacked[..., 0].var(0)
            np.testing.assert_allclose(mixture, np.stack([mean, np.sqrt(variance)], 1), rtol=1e-6)
        else:
            np.testing.assert_allclose(mixture, stacked.mean(0), rtol=1e-6)

    @every_kind
    def test_the_prior_says_how_often_things_are_in_the_training_rows(self, kind: str) -> None:
        target = KINDS[kind]
        values = drawn_values(target, 200)
        prior = target.predict(target.prior(values).unsqueeze(0))[0].numpy()
        if isinstance(target, Regression):
            np.testing.assert_allclose(prior, [target.mean, target.std])
        elif isinstance(target, Multilabel):
            np.testing.assert_allclose(prior, values.mean(0), rtol=1e-5)
        else:
            np.testing.assert_allclose(prior, np.bincount(values) / 200, rtol=1e-5)

    @every_kind
    def test_no_predictions_are_no_answers(self, kind: str) -> None:
        target = KINDS[kind]
        none = np.zeros((0, len(target.columns)))
        assert target.labels(none) == []
        assert target.confidence(none).shape == (0,)

    def test_confidence_is_the_probability_of_the_answer_or_the_deviation(self) -> None:
        assert classes(2).confidence(np.array([[0.3, 0.7]])) == [0.7]
        assert labels("ab").confidence(np.array([[0.1, 0.8]])) == pytest.approx([0.9 * 0.8])
        assert number().confidence(np.array([[5.0, 2.0]])) == [2.0]

    def test_leaning_is_the_log_probability_of_the_answer_or_the_number(self) -> None:
        some, whole = np.array([[0.3, 0.7], [0.4, 0.6]]), np.array([[0.9, 0.1], [0.2, 0.8]])
        np.testing.assert_allclose(classes(2).leaning(some, whole), np.log([0.3, 0.6]))
        np.testing.assert_allclose(labels("ab").leaning(some, whole), np.log([0.3 * 0.3, 0.6 * 0.6]))
        np.testing.assert_allclose(number().leaning(some, whole), [0.3, 0.4])


def test_a_head_begins_at_the_prior_of_a_number() -> None:
    target = number()
    natural = target.natural(torch.zeros(1, 2))
    torch.testing.assert_close(target.predict(natural), torch.tensor([[10.0, 4.0]]), rtol=1e-3, atol=1e-3)


@given(st.floats(0.01, 1000))
@settings(max_examples=40, deadline=None)
def test_a_precision_is_reached_by_its_raw_output(precision: float) -> None:
    target = number()
    output = torch.tensor([0.0, target.raw_precision(precision)], dtype=torch.float64)
    assert target.natural(output)[1].item() == pytest.approx(precision, rel=1e-6)


class TestTemperature:
    @every_kind
    @pytest.mark.parametrize("heat", [0.3, 4.0])
    def test_it_mends_what_is_too_sure_or_too_timid_on_other_rows(self, kind: str, heat: float) -> None:
        target = KINDS[kind]
        natural = drawn_natural(target, 4000)
        values = drawn_from(target, natural)
        wrong = natural * heat
        temperature = target.temperature(wrong[:2000], values[:2000])
        assert temperature == pytest.approx(heat, rel=0.15)  # 2000 rows tell it to some percent
        assert nll(target, wrong[2000:] / temperature, values[2000:]) < nll(
            target, wrong[2000:], values[2000:]
        )

    @every_kind
    def test_what_is_right_is_left_nearly_as_it_is(self, kind: str) -> None:
        target = KINDS[kind]
        natural = drawn_natural(target, 4000)
        values = drawn_from(target, natural)
        temperature = target.temperature(natural[:2000], values[:2000])
        assert temperature == pytest.approx(1, rel=0.1)
        before, after = (nll(target, natural[2000:] / t, values[2000:]) for t in (1.0, temperature))
        assert after < before + 0.005

    @every_kind
    def test_one_row_is_enough_and_its_pull_stays_bounded(self, kind: str) -> None:
        target = KINDS[kind]
        natural = drawn_natural(target, 1) * 50
        for seed in range(5):
            assert 0.01 <= target.temperature(natural, drawn_values(target, 1, seed)) <= 100


def drawn_from(target: AnyTarget, natural: torch.Tensor) -> np.ndarray:
    """Values drawn from the distributions themselves."""
    rng = np.random.default_rng(7)
    predictions = target.predict(natural).numpy()
    if isinstance(target, Regression):
        return rng.normal(*predictions.T)
    if isinstance(target, Multilabel):
        return (rng.random(predictions.shape) < predictions).astype(np.float64)
    return (predictions.cumsum(1) < rng.random((len(predictions), 1))).sum(1).clip(0, target.width - 1)


def nll(target: AnyTarget, natural: torch.Tensor, values: np.ndarray) -> float:
    return float(target.row_losses(values, target.predict(natural).numpy()).mean())


@every_kind
def test_it_travels_as_json(kind: str) -> None:
    targets = Targets((KINDS[kind],))
    back = Targets.from_json(json.loads(json.dumps(targets.to_json())))
    assert back == targets
    assert type(back.primary) is type(targets.primary)


@every_kind
def test_a_head_gives_natural_parameters(kind: str) -> None:
    targets = Targets((KINDS[kind],))
    head = Head(5, targets)
    natural = head(torch.randn(7, 5))
    assert natural.shape == (7, targets.width)
    values = torch.from_numpy(drawn_values(targets.primary, 7))
    targets.primary.losses(natural, values).mean().backward()
    assert torch.isfinite(head.weight.grad).all()
    assert (head.weight.grad.abs().sum(1) > 0).all()
