"""The linear probe of every kind of target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from components.targets import AnyTarget, Head, Multilabel, Regression, Targets
from components.targets.metrics import metric
from components.training.probe import fit_probe
from tests.components.small_targets import KINDS, classes, labels, number, ordered

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)


def embeddings(rows: int, seed: int) -> np.ndarray:
    return (
        np.random.default_rng(seed).normal(size=(rows, 5)) * [1, 10, 0.1, 1, 1] + [0, 5, 0, -3, 0]
    ).astype(np.float32)


def values_for(target: AnyTarget, x: np.ndarray, seed: int = 0) -> np.ndarray:
    """Values that a linear model can learn, with noise."""
    rng = np.random.default_rng(seed)
    score = x[:, 0] + x[:, 1] / 10 + rng.normal(0, 0.3, len(x))
    if isinstance(target, Regression):
        return target.mean + target.std * score / 1.5
    if isinstance(target, Multilabel):
        return np.stack([score > level for level in np.linspace(-1, 1.5, target.width)], 1).astype(np.float64)
    return np.digitize(score, np.linspace(-1, 1.5, target.width - 1))


def predicted(head: Head, x: np.ndarray, name: str) -> np.ndarray:
    target = next(target for target in head.targets if target.name == name)
    with torch.no_grad():
        natural = head(torch.from_numpy(x))[:, head.targets.slices[name]].double()
    return target.predict(natural).numpy()


def tensors(**values: np.ndarray) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value) for name, value in values.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_is_linear(kind: str) -> None:
    target = KINDS[kind]
    x, val, test = (embeddings(300, seed) for seed in range(3))
    head, _ = fit_probe(
        Targets((target,)),
        x,
        {target.name: torch.from_numpy(values_for(target, x))},
        val,
        {target.name: torch.from_numpy(values_for(target, val))},
    )
    truth = values_for(target, test, 1)
    assert metric(target, target.metric, truth, predicted(head, test, target.name)) > 0.7


def test_labels_are_a_logistic_regression_each() -> None:
    target, x, val = labels("abc", metric="log_loss"), embeddings(200, 0), embeddings(100, 1)
    y, val_y = values_for(target, x), values_for(target, val)
    head, _ = fit_probe(Targets((target,)), x, tensors(tags=y), val, tensors(tags=val_y))
    mean, std = x.mean(0), x.std(0)
    candidates = [
        np.stack(
            [
                LogisticRegression(C=c, max_iter=500)
                .fit((x - mean) / std, y[:, column])
                .predict_proba((val - mean) / std)[:, 1]
                for column in range(3)
            ],
            axis=1,
        )
        for c in STRENGTHS
    ]
    best = min(candidates, key=lambda p: metric(target, "log_loss", val_y, p))
    np.testing.assert_allclose(predicted(head, val, "tags"), best, atol=1e-4)


def test_a_label_that_all_or_no_training_rows_have_is_all_but_sure() -> None:
    target, x = labels("abc"), embeddings(50, 0)
    y = values_for(target, x)
    y[:, 0], y[:, 2] = 1, 0
    head, _ = fit_probe(Targets((target,)), x, tensors(tags=y), x, tensors(tags=y))
    predictions = predicted(head, x, "tags")
    assert predictions[:, 0].min() > 1 - 1e-6
    assert predictions[:, 2].max() < 1e-6


def test_numbers_are_a_ridge_regression_whose_spread_is_that_of_validation() -> None:
    target, x, val = number(), embeddings(200, 0), embeddings(400, 1)
    y, val_y = values_for(target, x), values_for(target, val, seed=5)
    head, _ = fit_probe(Targets((target,)), x, tensors(price=y), val, tensors(price=val_y))
    mean, std = x.mean(0), x.std(0)
    models = [Ridge(alpha=a).fit((x - mean) / std, y) for a in (1000, 100, 10, 1, 0.1)]
    means = min((m.predict((val - mean) / std) for m in models), key=lambda p: np.square(p - val_y).mean())
    predictions = predicted(head, val, "price")
    np.testing.assert_allclose(predictions[:, 0], means, rtol=1e-3)
    error = np.sqrt(np.square(means - val_y).mean())
    np.testing.assert_allclose(predictions[:, 1], error, rtol=1e-2)  # the least precision is apart from 0


def test_ordered_classes_are_learned_like_classes() -> None:
    x, val = embeddings(200, 0), embeddings(100, 1)
    plain, graded = classes(4, "log_loss"), ordered(4, "log_loss")
    values, val_values = torch.from_numpy(values_for(plain, x)), torch.from_numpy(values_for(plain, val))
    one, _ = fit_probe(Targets((plain,)), x, {"label": values}, val, {"label": val_values})
    other, _ = fit_probe(Targets((graded,)), x, {"grade": values}, val, {"grade": val_values})
    torch.testing.assert_close(one.weight, other.weight, rtol=0, atol=0)


def test_each_of_several_targets_is_fitted_on_the_rows_that_have_it() -> None:
    kind, price = classes(2), number()
    x, val = embeddings(200, 0), embeddings(100, 1)
    y, prices = values_for(kind, x), values_for(price, x)
    val_y, val_prices = values_for(kind, val), values_for(price, val)
    y[::3], val_prices[::2] = -1, np.nan
    prices[1::4] = np.nan
    both, _ = fit_probe(
        Targets((kind, price)), x, tensors(label=y, price=prices), val, tensors(label=val_y, price=val_prices)
    )
    mean, std = x.mean(0), x.std(0) + 1e-6  # embeddings are standardised over all rows
    ridge = [
        Ridge(alpha=a).fit(((x - mean) / std)[~np.isnan(prices)], prices[~np.isnan(prices)])
        for a in (1000, 100, 10, 1, 0.1)
    ]
    known = ~np.isnan(val_prices)
    means = min(
        (m.predict((val - mean) / std) for m in ridge),
        key=lambda p: np.square(p - val_prices)[known].mean(),
    )
    np.testing.assert_allclose(predicted(both, val, "price")[:, 0], means, rtol=1e-3)
    assert (predicted(both, val, "label").argmax(1) == val_y).mean() > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_that_no_row_with_the_input_has_is_left_open(kind: str) -> None:
    target = KINDS[kind]
    targets = Targets((classes(2).__class__("other", "accuracy", ("x", "y")), target))
    x, val = embeddings(60, 0), embeddings(30, 1)
    unknown = target.encode([None] * 60)
    head, _ = fit_probe(
        targets,
        x,
        {"other": torch.from_numpy((x[:, 0] > 0).astype(np.int64)), target.name: torch.from_numpy(unknown)},
        val,
        {
            "other": torch.from_numpy((val[:, 0] > 0).astype(np.int64)),
            target.name: torch.from_numpy(unknown[:30]),
        },
    )
    predictions = predicted(head, val, target.name)
    np.testing.assert_allclose(predictions, np.tile(predictions[0], (30, 1)))
    if isinstance(target, Regression):
        np.testing.assert_allclose(predictions[0], [target.mean, target.std], rtol=1e-3)
    else:
        assert np.ptp(predictions[0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_without_validation_rows_the_strongest_pull_is_taken(kind: str) -> None:
    target = KINDS[kind]
    x = embeddings(80, 0)
    values, none = torch.from_numpy(values_for(target, x)), torch.from_numpy(target.encode([]))
    none = none.reshape(0, *values.shape[1:])
    head, _ = fit_probe(Targets((target,)), x, {target.name: values}, x[:0], {target.name: none})
    assert torch.isfinite(head.weight).all()
