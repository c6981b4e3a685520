"""The linear probe is scikit-learn's logistic regression, as a layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from components.targets.metrics import metric
from components.training.probe import fit_probe
from tests.components.small_targets import NAME, alone
from tests.components.small_targets import classes as kinds

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)


def blobs(rows: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes around their own centres, in columns of very different scales."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, rows)
    centres = np.random.default_rng(99).normal(size=(classes, 6))
    x = (centres[targets] + rng.normal(size=(rows, 6))) * [1, 10, 100, 0.1, 1, 1] + [0, 5, -300, 0, 0, 1]
    return x.astype(np.float32), targets


def fitted(
    x: np.ndarray, y: np.ndarray, val: np.ndarray, val_y: np.ndarray, classes: int, metric: str
) -> nn.Linear:
    targets = alone(classes, metric)
    return fit_probe(targets, x, {NAME: torch.from_numpy(y)}, val, {NAME: torch.from_numpy(val_y)})[0]


def probabilities(head: nn.Linear, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return head(torch.from_numpy(x)).double().softmax(1).numpy()


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_it_equals_scikit_learn_with_the_strength_that_did_best(classes: int) -> None:
    x, y = blobs(120, classes, 0)
    val, val_y = blobs(80, classes, 1)
    head = fitted(x, y, val, val_y, classes, "log_loss")
    mean, std = x.mean(0), x.std(0)
    models = [LogisticRegression(C=c, max_iter=500).fit((x - mean) / std, y) for c in STRENGTHS]
    predictions = [model.predict_proba((val - mean) / std) for model in models]
    best = min(predictions, key=lambda p: metric(kinds(classes), "log_loss", val_y, p))
    # float32 weights over columns in the hundreds
    np.testing.assert_allclose(probabilities(head, val), best, atol=1e-4)


@pytest.mark.parametrize(("classes", "absent"), [(3, 1), (3, 0), (5, 4)])
def test_a_class_that_train_lacks_is_all_but_excluded(classes: int, absent: int) -> None:
    x, y = blobs(200, classes, 0)
    val, val_y = blobs(100, classes, 1)
    x, y = x[y != absent], y[y != absent]
    predictions = probabilities(fitted(x, y, val, val_y, classes, "accuracy"), val)
    assert predictions.shape == (100, classes)
    assert predictions[:, absent].max() < 1e-6
    known = val_y != absent
    assert (predictions.argmax(1)[known] == val_y[known]).mean() > 0.6  # guessing gives at most a half


def test_a_train_of_one_class_gives_that_class() -> None:
    x, _ = blobs(20, 2, 0)
    head = fitted(x, np.full(20, 2), x, np.full(20, 2), 4, "accuracy")
    assert probabilities(head, x)[:, 2].min() > 0.999


def test_a_column_that_never_changes_does_no_harm() -> None:
    x, y = blobs(100, 2, 0)
    x[:, 2] = 7.0
    predictions = probabilities(fitted(x, y, x, y, 2, "accuracy"), x)
    assert np.isfinite(predictions).all()


def test_where_the_metric_is_not_defined_the_log_loss_chooses() -> None:
    x, y = blobs(120, 2, 0)
    val, val_y = blobs(40, 2, 1)
    val, val_y = val[val_y == 0], val_y[val_y == 0]  # no ROC curve with one class
    by_auc = fitted(x, y, val, val_y, 2, "roc_auc")
    by_loss = fitted(x, y, val, val_y, 2, "log_loss")
    torch.testing.assert_close(by_auc.weight, by_loss.weight, rtol=0, atol=0)


def test_rows_of_weight_zero_might_as_well_not_be_there() -> None:
    x, y = blobs(120, 3, 0)
    val, val_y = blobs(80, 3, 1)
    wrong = np.concatenate([y[:60], (y[60:] + 1) % 3])
    weights = np.repeat([2.0, 0.0], 60).astype(np.float32)
    targets = alone(3, "log_loss")
    values = {NAME: torch.from_numpy(val_y)}
    heads = [
        fit_probe(targets, x, {NAME: torch.from_numpy(labels)}, val, values, row_weights)[0]
        for labels, row_weights in ((wrong, weights), (y, weights), (wrong, None))
    ]
    np.testing.assert_allclose(probabilities(heads[0], val), probabilities(heads[1], val), atol=1e-6)
    right = [metric(kinds(3), "accuracy", val_y, probabilities(head, val)) for head in heads]
    assert right[0] > right[2] + 0.1
