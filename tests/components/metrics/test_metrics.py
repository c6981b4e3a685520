"""Metrics against scikit-learn's, and on targets that lack classes."""

import numpy as np
import pytest
from sklearn import metrics as sk

from components.errors import DataError, ModelError
from components.metrics.classification import METRICS, Ranks, WeightedMetrics
from components.targets.metrics import (
    all_metrics,
    confusion,
    higher_is_better,
    metric,
    per_class,
)
from tests.components.small_targets import classes as kinds


def predictions(rows=300, classes=4, seed=0, digits=None):
    """Targets, and probabilities that lean to them; `digits` rounds, so that scores tie."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes)) + 1.2 * np.eye(classes)[targets]
    probabilities = np.exp(logits)
    if digits is not None:
        probabilities = np.round(probabilities, digits) + 0.01
    return targets, probabilities / probabilities.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("digits", [None, 0], ids=["distinct scores", "tied scores"])
@pytest.mark.parametrize("classes", [3, 7])
def test_all_metrics_agree_with_scikit_learn(classes, digits):
    y, p = predictions(classes=classes, digits=digits)
    top, onehot = p.argmax(1), np.eye(classes)[y]
    expected = {
        "accuracy": sk.accuracy_score(y, top),
        "balanced_accuracy": sk.balanced_accuracy_score(y, top),
        "roc_auc": sk.roc_auc_score(y, p, multi_class="ovr", average="macro"),
        "average_precision": sk.average_precision_score(onehot, p, average="macro"),
        "log_loss": sk.log_loss(y, p),
        "brier": np.square(p - onehot).sum(1).mean(),
    }
    for average in ("macro", "weighted"):
        expected[f"precision_{average}"] = sk.precision_score(y, top, average=average)
        expected[f"recall_{average}"] = sk.recall_score(y, top, average=average)
        expected[f"f1_{average}"] = sk.f1_score(y, top, average=average)
    values = all_metrics(kinds(classes), y, p)
    assert set(values) == set(METRICS)
    assert {name: values[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_two_classes_rank_by_the_last_one():
    y, p = predictions(classes=2)
    assert metric(kinds(2), "roc_auc", y, p) == pytest.approx(sk.roc_auc_score(y, p[:, 1]))
    values = all_metrics(kinds(2), y, p)
    assert values["average_precision"] == pytest.approx(sk.average_precision_score(y, p[:, 1]))


def test_weights_count_rows_as_often_as_they_say():
    y, p = predictions(rows=80, digits=0)
    weights = np.random.default_rng(1).integers(0, 4, 80)
    rows = np.repeat(np.arange(80), weights)
    names = [name for name in METRICS if name != "calibration_error_adaptive"]  # its bins depend on all rows
    weighted = WeightedMetrics(y, p, names)(weights[:, None].astype(float))
    repeated = WeightedMetrics(y[rows], p[rows], names)(np.ones((len(rows), 1)))
    assert {n: v[0] for n, v in weighted.items()} == pytest.approx({n: v[0] for n, v in repeated.items()})


def test_weighted_ranking_agrees_with_scikit_learns_sample_weights():
    y, p = predictions(classes=2, digits=1)
    weights = np.random.default_rng(2).integers(0, 3, len(y)).astype(float)
    auc, precision = Ranks.of(y == 1, p[:, 1])(weights[:, None])[:, 0]
    assert auc == pytest.approx(sk.roc_auc_score(y, p[:, 1], sample_weight=weights))
    assert precision == pytest.approx(sk.average_precision_score(y, p[:, 1], sample_weight=weights))


def test_calibration_error_is_the_gap_of_each_bin_weighted_by_its_rows():
    # Two bins of 10 rows: sure at .9 and right 7 times of 10; sure at .6 and right 6 times of 10.
    p = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    y = np.array([0] * 7 + [1] * 3 + [0] * 6 + [1] * 4)
    assert metric(kinds(2), "calibration_error", y, p) == pytest.approx(0.1)


def test_a_class_without_rows_is_left_out_of_averages_and_breaks_nothing():
    y, p = predictions(classes=4)
    keep = y != 2
    y, p = y[keep], p[keep]
    values = all_metrics(kinds("abcd"), y, p)
    present = [0, 1, 3]
    assert values["f1_macro"] == pytest.approx(sk.f1_score(y, p.argmax(1), labels=present, average="macro"))
    areas = [sk.roc_auc_score(y == c, p[:, c]) for c in present]
    assert values["roc_auc"] == pytest.approx(np.mean(areas))
    row = per_class(kinds("abcd"), y, p).set_index("class").loc["c"]
    assert row["support"] == 0
    assert row[["recall", "f1", "roc_auc", "average_precision"]].isna().all()


def test_rows_of_one_class_leave_out_what_is_not_defined():
    y, p = np.zeros(5, int), np.tile([0.7, 0.2, 0.1], (5, 1))
    values = all_metrics(kinds("abc"), y, p)
    assert "roc_auc" not in values
    assert "average_precision" not in values
    assert values["accuracy"] == values["f1_macro"] == 1
    assert np.isnan(metric(kinds("abc"), "roc_auc", y, p))


def test_a_class_that_is_never_predicted_has_precision_zero_not_missing():
    y, p = np.array([0, 0, 1]), np.tile([0.9, 0.1], (3, 1))
    assert all_metrics(kinds("ab"), y, p)["precision_macro"] == pytest.approx((2 / 3 + 0) / 2)


def test_a_probability_of_zero_gives_a_finite_log_loss():
    assert 30 < metric(kinds(2), "log_loss", [0], [[0.0, 1.0]]) < 40


def test_confusion_counts_labels_in_rows_and_predictions_in_columns():
    table = confusion(kinds("ab"), [0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    assert table.loc["a", "b"] == 1
    assert table.loc["b", "a"] == 0
    assert table.to_numpy().sum() == 3


def test_per_class_agrees_with_scikit_learn():
    y, p = predictions()
    table = per_class(kinds("abcd"), y, p)
    precision, recall, f1, support = sk.precision_recall_fscore_support(y, p.argmax(1))
    for column, expected in {"precision": precision, "recall": recall, "f1": f1, "support": support}.items():
        np.testing.assert_allclose(table[column], expected)
    assert table["roc_auc"][1] == pytest.approx(sk.roc_auc_score(y == 1, p[:, 1]))


def test_every_metric_says_which_way_is_better():
    lower = {name for name in METRICS if not higher_is_better(name)}
    assert lower == {"log_loss", "brier", "calibration_error", "calibration_error_adaptive"}
    with pytest.raises(KeyError, match="'acc' is not a metric of classification; known: accuracy"):
        metric(kinds(2), "acc", [0], [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("targets", "probabilities", "error", "message"),
    [
        ([], np.empty((0, 2)), DataError, "no rows"),
        ([0], [[np.nan, 1.0]], ModelError, "1 of 1 rows are not finite"),
        ([0], [[3.0, -1.0]], ModelError, "give probabilities, not logits"),
        ([2], [[0.5, 0.5]], DataError, r"expected class indices 0\.\.1"),
        ([0, 1], [[0.5, 0.5]], ModelError, r"shape \(1, 2\), expected \(2, 2\)"),
    ],
)
def test_unusable_predictions_are_refused_with_the_remedy(targets, probabilities, error, message):
    with pytest.raises(error, match=message):
        metric(kinds(2), "accuracy", targets, probabilities)
