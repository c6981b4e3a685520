"""Linear probe: the head, and the baseline, of an encoder that is taken as it is."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

from components.targets import (
    AnyTarget,
    Classification,
    Head,
    Multilabel,
    Ordinal,
    Regression,
    Targets,
    known_rows,
    metric,
    rank,
)

_STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
_PENALTIES = (1000.0, 100.0, 10.0, 1.0, 0.1)
_EXCLUDED = -30.0  # logit of a class without training rows
Weights = tuple[np.ndarray, np.ndarray]


def fit_probe(
    targets: Targets,
    train: np.ndarray,
    train_values: Mapping[str, Tensor],
    val: np.ndarray,
    val_values: Mapping[str, Tensor],
    row_weights: np.ndarray | None = None,
) -> Head:
    """Regularised linear models on embeddings, their strength chosen on validation.

    Multinomial logistic regression for classes, a logistic regression for each label, ridge regression for
    numbers (its variance is that of the validation errors). Embeddings are standardised with training
    statistics, which are then folded into the weights.

    Args:
        targets: What is predicted.
        train: (N, D) float32 embeddings.
        train_values: By target, for N rows.
        val: (K, D) float32 embeddings.
        val_values: By target, for K rows.
        row_weights: (N,) weights of the rows, with mean 1; None weighs all alike.

    Returns:
        Head from embeddings as they are to natural parameters.
    """
    mean, std = train.mean(0), train.std(0) + 1e-6
    weights, biases = [], []
    for target in targets:
        fitted, judged = known_rows(train_values[target.name]), known_rows(val_values[target.name])
        weight, bias = _best(
            target,
            ((train - mean) / std)[fitted.numpy()],
            train_values[target.name][fitted].numpy(),
            ((val - mean) / std)[judged.numpy()],
            val_values[target.name][judged].numpy(),
            None if row_weights is None else row_weights[fitted.numpy()],
        )
        weights.append(weight / std)
        biases.append(bias - (weight / std) @ mean)
    head = Head(len(mean), targets)
    head.load_state_dict(
        {
            "weight": torch.from_numpy(np.concatenate(weights)).float(),
            "bias": torch.from_numpy(np.concatenate(biases)).float(),
        }
    )
    return head


def _best(
    target: AnyTarget,
    train: np.ndarray,
    values: np.ndarray,
    val: np.ndarray,
    val_values: np.ndarray,
    row_weights: np.ndarray | None,
) -> Weights:
    """Weights (K, D) and biases (K,) of the strength that does best on validation."""
    if not len(values):  # no row has both the input and this target: nothing is said of it
        return np.zeros((target.width, train.shape[1])), np.zeros(target.width)
    best: tuple[tuple[float, float], Weights] | None = None
    for weight, bias in _FITS[type(target)](target, train, values, val, val_values, row_weights):
        if not len(val_values):
            return weight, bias
        natural = target.natural(torch.from_numpy(val @ weight.T + bias).double())
        predictions = target.predict(natural).numpy()
        score = rank(
            target.metric,
            metric(target, target.metric, val_values, predictions),
            metric(target, "log_loss", val_values, predictions),
        )
        if best is None or score > best[0]:
            best = (score, (weight, bias))
    assert best is not None
    return best[1]


def _classes(
    target: AnyTarget,
    train: np.ndarray,
    values: np.ndarray,
    val: np.ndarray,
    val_values: np.ndarray,
    row_weights: np.ndarray | None,
) -> list[Weights]:
    if len(np.unique(values)) == 1:  # nothing to tell apart
        bias = np.full(target.width, _EXCLUDED)
        bias[values[0]] = 0.0
        return [(np.zeros((target.width, train.shape[1])), bias)]
    probes = []
    for strength in _STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=500).fit(train, values, row_weights)
        coefficients, intercepts = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # one row for the second class
            coefficients = np.stack([-coefficients[0] / 2, coefficients[0] / 2])
            intercepts = np.array([-intercepts[0] / 2, intercepts[0] / 2])
        weight = np.zeros((target.width, train.shape[1]))
        bias = np.full(target.width, _EXCLUDED)
        weight[model.classes_], bias[model.classes_] = coefficients, intercepts
        probes.append((weight, bias))
    return probes


def _labels(
    target: AnyTarget,
    train: np.ndarray,
    values: np.ndarray,
    val: np.ndarray,
    val_values: np.ndarray,
    row_weights: np.ndarray | None,
) -> list[Weights]:
    probes = []
    for strength in _STRENGTHS:
        weight, bias = np.zeros((target.width, train.shape[1])), np.zeros(target.width)
        for column, truth in enumerate(values.T):
            if truth.min() == truth.max():
                bias[column] = -_EXCLUDED if truth[0] > 0.5 else _EXCLUDED
                continue
            model = LogisticRegression(C=strength, max_iter=500).fit(train, truth, row_weights)
            weight[column], bias[column] = model.coef_[0], model.intercept_[0]
        probes.append((weight, bias))
    return probes


def _numbers(
    target: AnyTarget,
    train: np.ndarray,
    values: np.ndarray,
    val: np.ndarray,
    val_values: np.ndarray,
    row_weights: np.ndarray | None,
) -> list[Weights]:
    """With one precision for all rows, the mean's weights times it are those of mean / variance."""
    assert isinstance(target, Regression)
    probes = []
    for penalty in _PENALTIES:
        model = Ridge(alpha=penalty).fit(train, (values - target.mean) / target.std, row_weights)
        rows, truth = (val, val_values) if len(val_values) else (train, values)
        errors = (truth - target.mean) / target.std - model.predict(rows)
        precision = 1 / max(float(np.square(errors).mean()), 1e-3)
        weight = np.stack([model.coef_ * precision, np.zeros(train.shape[1])])
        probes.append((weight, np.array([model.intercept_ * precision, target.raw_precision(precision)])))
    return probes


_FITS: dict[type, Callable[..., list[Weights]]] = {
    Classification: _classes,
    Ordinal: _classes,
    Multilabel: _labels,
    Regression: _numbers,
}
