"""Metrics of numbers, labels and ordered classes against scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from components.errors import DataError, ModelError
from components.evaluation.bootstrap import bootstrap_intervals, paired_gain
from components.metrics import multilabel, ordinal, regression
from components.metrics.calibration import label_reliability, quantile_reliability
from components.targets import AnyTarget
from components.targets.metrics import LOWER_IS_BETTER, all_metrics, higher_is_better, metric, per_class
from tests.components.small_targets import classes, drawn_natural, drawn_values, labels, number, ordered

KINDS: dict[str, AnyTarget] = {
    "regression": number(),
    "multilabel": labels("abcd"),
    "ordinal": ordered(5),
}


def drawn(kind: str, rows: int = 300, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Values, and predictions that lean to them; with ``ties`` scores are rounded."""
    target, rng = KINDS[kind], np.random.default_rng(seed)
    values = drawn_values(target, rows, seed)
    if kind == "regression":
        predictions = np.stack([values + rng.normal(0, 2, rows), rng.uniform(1, 3, rows)], 1)
        return (values.round(), predictions.round()) if ties else (values, predictions)
    truth = values if kind == "multilabel" else np.eye(5)[values]
    odds = np.exp(rng.normal(size=truth.shape) + 1.5 * truth)
    odds = odds.round() + 0.01 if ties else odds
    return values, odds / (1 + odds) if kind == "multilabel" else odds / odds.sum(1, keepdims=True)


def by_scikit_learn(kind: str, y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    if kind == "regression":
        mean, std = p.T
        inside = np.abs(y - mean) <= 1.6448536269514722 * std
        return {
            "r2": sk.r2_score(y, mean),
            "rmse": sk.root_mean_squared_error(y, mean),
            "mae": sk.mean_absolute_error(y, mean),
            "mape": sk.mean_absolute_percentage_error(y[y != 0], mean[y != 0]),
            "log_loss": -stats.norm.logpdf(y, mean, std).mean(),
            "interval_coverage": inside.mean(),
            "interval_width": 2 * 1.6448536269514722 * std.mean(),
        }
    if kind == "multilabel":
        chosen = (p >= 0.5).astype(int)
        return {
            "subset_accuracy": sk.accuracy_score(y, chosen),
            "hamming_loss": sk.hamming_loss(y, chosen),
            "f1_macro": sk.f1_score(y, chosen, average="macro"),
            "f1_micro": sk.f1_score(y, chosen, average="micro"),
            "precision_macro": sk.precision_score(y, chosen, average="macro"),
            "recall_macro": sk.recall_score(y, chosen, average="macro"),
            "roc_auc": sk.roc_auc_score(y, p, average="macro"),
            "average_precision": sk.average_precision_score(y, p, average="macro"),
            "log_loss": np.mean([sk.log_loss(y[:, c], p[:, c]) for c in range(4)]),
            "brier": np.mean([sk.brier_score_loss(y[:, c], p[:, c]) for c in range(4)]),
        }
    top = p.argmax(1)
    return {
        "quadratic_kappa": sk.cohen_kappa_score(y, top, weights="quadratic"),
        "mae": sk.mean_absolute_error(y, top),
        "within_one": (np.abs(y - top) <= 1).mean(),
        "accuracy": sk.accuracy_score(y, top),
        "balanced_accuracy": sk.balanced_accuracy_score(y, top),
        "log_loss": sk.log_loss(y, p),
    }


@pytest.mark.parametrize("ties", [False, True], ids=["distinct scores", "tied scores"])
@pytest.mark.parametrize("kind", KINDS)
def test_metrics_agree_with_scikit_learn(kind: str, ties: bool) -> None:
    y, p = drawn(kind, ties=ties)
    metrics = all_metrics(KINDS[kind], y, p)
    expected = by_scikit_learn(kind, y, p)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-10)
    assert set(metrics) == set(KINDS[kind].metrics)
    for name, value in metrics.items():
        assert metric(KINDS[kind], name, y, p) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count_rows_as_often_as_they_say(kind: str) -> None:
    target = KINDS[kind]
    y, p = drawn(kind, rows=60, ties=True)
    weights = np.random.default_rng(1).integers(0, 4, 60)
    rows = np.repeat(np.arange(60), weights)
    names = [name for name in target.metrics if name != "calibration_error_adaptive"]  # bins of all rows
    ones = np.ones((60, 1))
    weighted = target.scorer(y, p, names)(np.concatenate([ones, weights[:, None]], axis=1))
    repeated = target.scorer(y[rows], p[rows], names)(np.ones((len(rows), 1)))
    plain = target.scorer(y, p, names)(ones)
    for name in names:
        assert weighted[name][0] == pytest.approx(plain[name][0], abs=1e-10)
        assert weighted[name][1] == pytest.approx(repeated[name][0], abs=1e-10), name


@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_has_an_interval_around_its_value(kind: str) -> None:
    y, p = drawn(kind, 150)
    intervals = bootstrap_intervals(KINDS[kind], y, p, 200)
    assert set(intervals) == set(KINDS[kind].metrics)
    for name, interval in intervals.items():
        assert interval.low <= interval.value <= interval.high, name


@pytest.mark.parametrize(
    ("kind", "name"),
    [("regression", "r2"), ("regression", "rmse"), ("multilabel", "f1_macro"), ("multilabel", "hamming_loss"),
     ("multilabel", "roc_auc"), ("ordinal", "quadratic_kappa"), ("ordinal", "mae")],
)  # fmt: skip
def test_a_real_gain_is_found_and_its_mirror_image_too(kind: str, name: str) -> None:
    y, good = drawn(kind)
    bad = np.roll(good, 1, axis=0)  # answers of other rows
    gain = paired_gain(KINDS[kind], y, good, bad, name, 200)
    loss = paired_gain(KINDS[kind], y, bad, good, name, 200)
    assert (gain.verdict, loss.verdict) == ("yes", "no")
    assert (loss.value, loss.low, loss.high) == pytest.approx((-gain.value, -gain.high, -gain.low))


def test_every_metric_says_which_way_is_better() -> None:
    names = {*regression.METRICS, *multilabel.METRICS, *ordinal.METRICS}
    lower = {name for name in names if not higher_is_better(name)}
    assert lower == LOWER_IS_BETTER


class TestNumbers:
    def test_numbers_that_are_all_the_same_have_no_r2(self) -> None:
        y, p = np.full(5, 1e6), np.tile([1e6, 1.0], (5, 1))
        metrics = all_metrics(number(), y, p)
        assert "r2" not in metrics
        assert metrics["rmse"] == 0

    def test_numbers_that_differ_little_far_from_zero_have_one(self) -> None:
        y = 1e6 + np.arange(10.0)
        p = np.stack([y + 1, np.ones(10)], 1)
        assert metric(number(), "r2", y, p) == pytest.approx(sk.r2_score(y, p[:, 0]), abs=1e-6)

    def test_zeros_do_not_count_for_relative_errors(self) -> None:
        p = np.array([[1.0, 1.0], [3.0, 1.0]])
        assert metric(number(), "mape", [0.0, 2.0], p) == pytest.approx(0.5)
        assert np.isnan(metric(number(), "mape", [0.0, 0.0], p))

    def test_calibration_error_is_none_for_the_true_spread_and_large_for_a_wrong_one(self) -> None:
        y = np.random.default_rng(0).normal(0, 2, 20_000)
        right, wrong = (np.stack([np.zeros(20_000), np.full(20_000, s)], 1) for s in (2.0, 0.5))
        assert metric(number(), "calibration_error", y, right) < 0.01  # 20 000 rows: .0035 a bin
        assert metric(number(), "calibration_error", y, wrong) > 0.2
        table = quantile_reliability(y, *right.T)
        np.testing.assert_allclose(table["accuracy"], table["confidence"], atol=0.015)
        error = np.abs(quantile_reliability(y, *wrong.T).eval("accuracy - confidence")).mean()
        assert metric(number(), "calibration_error", y, wrong) == pytest.approx(error)

    @pytest.mark.parametrize(
        ("values", "predictions", "error", "message"),
        [
            ([], np.empty((0, 2)), DataError, "no rows"),
            ([1.0], [[np.nan, 1.0]], ModelError, "1 of 1 rows are not finite"),
            ([1.0], [[1.0, 0.0]], ModelError, "standard deviation is 0, expected above 0"),
            ([np.nan], [[1.0, 1.0]], DataError, "finite numbers"),
            ([1.0], [[1.0, 1.0, 1.0]], ModelError, r"shape \(1, 3\), expected \(1, 2\)"),
        ],
    )
    def test_unusable_predictions_are_refused(
        self, values: Any, predictions: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            metric(number(), "r2", values, predictions)


class TestLabels:
    def test_a_label_that_no_row_has_is_left_out_of_averages(self) -> None:
        y, p = drawn("multilabel")
        y[:, 2] = 0
        columns = [0, 1, 3]
        metrics = all_metrics(KINDS["multilabel"], y, p)
        chosen = (p >= 0.5).astype(int)
        assert metrics["f1_macro"] == pytest.approx(
            sk.f1_score(y[:, columns], chosen[:, columns], average="macro")
        )
        assert metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(y[:, columns], p[:, columns]))
        assert metrics["f1_micro"] == pytest.approx(sk.f1_score(y, chosen, average="micro"))

    def test_rows_that_have_all_labels_leave_out_what_ranks(self) -> None:
        metrics = all_metrics(labels("ab"), np.ones((3, 2)), np.full((3, 2), 0.7))
        assert "roc_auc" not in metrics
        assert metrics["f1_macro"] == metrics["subset_accuracy"] == 1

    def test_by_label_agrees_with_scikit_learn(self) -> None:
        y, p = drawn("multilabel")
        table = per_class(KINDS["multilabel"], y, p)
        expected = sk.precision_recall_fscore_support(y, p >= 0.5)
        for column, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
            np.testing.assert_allclose(table[column], values)
        assert list(table["class"]) == list("abcd")
        assert table["roc_auc"][1] == pytest.approx(sk.roc_auc_score(y[:, 1], p[:, 1]))

    def test_calibration_counts_every_label_of_every_row(self) -> None:
        y, p = drawn("multilabel")
        table = label_reliability(y, p)
        assert table["count"].sum() == y.size
        filled = table[table["count"] > 0]
        error = (filled["count"] * (filled["accuracy"] - filled["confidence"]).abs()).sum() / y.size
        assert error == pytest.approx(metric(KINDS["multilabel"], "calibration_error", y, p))

    @pytest.mark.parametrize(
        ("values", "predictions", "error", "message"),
        [
            ([[0, 2]], [[0.1, 0.2]], DataError, "0 or 1"),
            ([[0, 1]], [[-3.0, 0.2]], ModelError, "give probabilities, not logits"),
            ([[0, 1]], [[0.1]], ModelError, r"shape \(1, 1\), expected \(1, 2\)"),
        ],
    )
    def test_unusable_predictions_are_refused(
        self, values: Any, predictions: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            metric(labels("ab"), "f1_macro", values, predictions)


class TestOrder:
    def test_a_near_miss_is_better_than_a_far_one(self) -> None:
        y, near, far = np.array([0, 1, 2, 3, 4]), np.eye(5)[[1, 2, 3, 4, 3]], np.eye(5)[[4, 4, 0, 0, 0]]
        for name in ("quadratic_kappa", "within_one"):
            assert metric(ordered(5), name, y, near) > metric(ordered(5), name, y, far)
        assert metric(ordered(5), "accuracy", y, near) == metric(ordered(5), "accuracy", y, far) == 0

    def test_rows_of_one_class_that_is_said_leave_kappa_open(self) -> None:
        y, p = np.full(4, 2), np.eye(5)[[2] * 4]
        assert np.isnan(metric(ordered(5), "quadratic_kappa", y, p))
        assert "quadratic_kappa" not in all_metrics(ordered(5), y, p)

    def test_an_unordered_class_has_no_such_metric(self) -> None:
        with pytest.raises(KeyError, match="'mae' is not a metric of classification"):
            metric(classes(3), "mae", [0], [[1.0, 0.0, 0.0]])


def test_the_row_losses_of_the_metric_are_those_of_the_target() -> None:
    for target in KINDS.values():
        y, p = drawn_values(target, 30), target.predict(drawn_natural(target, 30)).numpy()
        per_row = target.row_losses(y, p).mean() / (y.shape[1] if y.ndim > 1 else 1)
        assert metric(target, "log_loss", y, p) == pytest.approx(per_row)
