"""Decision thresholds for F1: better than one half on fresh rows, probabilities untouched."""

import numpy as np
import pytest

from components.errors import ModelError
from components.metrics.thresholds import (
    class_thresholds,
    decide_classes,
    label_thresholds,
    shared_threshold,
    split_thresholds,
    with_thresholds,
)
from components.targets import Classification, Multilabel
from components.targets.metrics import all_metrics, metric
from components.targets.target import FloatArray

LABELS = tuple(f"label {number}" for number in range(19))
TAGS = Multilabel("tags", "f1_macro", LABELS, "|", "none")


def rare_labels(rows: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Draw labels of .4 to 30 % of the rows, and calibrated probabilities of them; both (N, 19)."""
    rng = np.random.default_rng(seed)
    shares = np.geomspace(0.004, 0.3, len(LABELS))
    truth = (rng.random((rows, len(LABELS))) < shares).astype(np.float64)
    signal = np.linspace(0.8, 2.4, len(LABELS))[::-1]
    scores = rng.normal(size=truth.shape) + truth * signal
    logits = signal * scores - signal**2 / 2 + np.log(shares / (1 - shares))
    return truth, 1 / (1 + np.exp(-logits))


def f1(truth: FloatArray, chosen: np.ndarray) -> FloatArray:
    """F1 of each label, (L,)."""
    return 2 * (truth * chosen).sum(0) / np.maximum(truth.sum(0) + chosen.sum(0), 1)


def test_thresholds_of_labels_raise_macro_f1_on_fresh_rows() -> None:
    truth, probabilities = rare_labels(4198, 0)
    fresh, scored = rare_labels(20_000, 1)
    thresholds = label_thresholds(truth, probabilities)
    even = metric(TAGS, "f1_macro", fresh, scored)
    own = metric(TAGS, "f1_macro", fresh, with_thresholds(scored, thresholds))
    assert own > even + 0.06


def test_with_few_positives_thresholds_are_better_than_those_of_the_truth_alone() -> None:
    fresh, scored = rare_labels(20_000, 1)
    even = f1(fresh, scored >= 0.5)[:8].mean()  # of the rarest labels
    ours, alone = [], []
    for seed in range(2, 12):
        truth, probabilities = rare_labels(300, seed)
        cuts = np.sort(probabilities, axis=0)
        by_truth = [
            max(cuts[:, label], key=lambda cut, p=probabilities[:, label], t=truth[:, label]: f1(t, p >= cut))
            for label in range(8)
        ]
        ours.append(f1(fresh, scored >= label_thresholds(truth, probabilities))[:8].mean())
        alone.append(f1(fresh[:, :8], scored[:, :8] >= by_truth).mean())
    assert np.mean(ours) > np.mean(alone) + 0.01
    assert np.mean(ours) > even + 0.05


def test_label_without_positives_has_the_threshold_that_its_probabilities_expect() -> None:
    probabilities = np.array([[0.9], [0.6], [0.1], [0.05]])
    # expected F1 above each: 2 * .9 / (1.65 + 1), 2 * 1.5 / (1.65 + 2), 2 * 1.6 / (1.65 + 3), ...
    assert label_thresholds(np.zeros((4, 1)), probabilities) == pytest.approx([0.35])


def test_rows_with_one_probability_are_on_one_side() -> None:
    truth = np.array([[1.0], [0.0], [1.0], [0.0]])
    [threshold] = label_thresholds(truth, np.array([[0.3], [0.3], [0.3], [0.2]]))
    assert 0.2 < threshold < 0.3


def test_shared_threshold_raises_micro_f1() -> None:
    truth, probabilities = rare_labels(2000, 0)
    fresh, scored = rare_labels(20_000, 1)
    shared = np.full(len(LABELS), shared_threshold(truth, probabilities))
    assert metric(TAGS, "f1_micro", fresh, with_thresholds(scored, shared)) > (
        metric(TAGS, "f1_micro", fresh, scored) + 0.03
    )


@pytest.mark.parametrize("classes", [2, 5])
def test_thresholds_of_classes_raise_macro_f1_on_fresh_rows(classes: int) -> None:
    shares = np.r_[1 - 0.06 * (classes - 1), np.full(classes - 1, 0.06)]
    target = Classification("label", "f1_macro", tuple(map(str, range(classes))))

    def draw(rows: int, seed: int) -> tuple[np.ndarray, FloatArray]:
        rng = np.random.default_rng(seed)
        truth = rng.choice(classes, rows, p=shares)
        scores = rng.normal(size=(rows, classes)) + np.eye(classes)[truth]
        odds = np.exp(scores) * shares
        return truth, odds / odds.sum(1, keepdims=True)

    thresholds = class_thresholds(*draw(1500, 0), weighted=False)
    truth, probabilities = draw(20_000, 1)
    given = with_thresholds(probabilities, thresholds)
    assert metric(target, "f1_macro", truth, given) > metric(target, "f1_macro", truth, probabilities) + 0.02


def test_metrics_of_probabilities_stay_and_those_of_decisions_follow() -> None:
    truth, probabilities = rare_labels(500, 0)
    plain = all_metrics(TAGS, truth, probabilities)
    given = all_metrics(TAGS, truth, with_thresholds(probabilities, np.full(len(LABELS), 0.2)))
    same = {"roc_auc", "average_precision", "log_loss", "brier", "calibration_error"}
    assert {name for name in plain if plain[name] == given[name]} == same
    chosen = (probabilities >= 0.2).astype(float)
    assert given["f1_macro"] == pytest.approx(f1(truth, chosen)[truth.any(0)].mean())


def test_class_is_given_by_probability_over_threshold() -> None:
    target = Classification("label", "f1_macro", ("no", "yes"))
    given = with_thresholds(np.array([[0.7, 0.3], [0.9, 0.1]]), np.array([0.75, 0.25]))
    assert target.labels(given) == ["yes", "no"]
    assert target.confidence(given).tolist() == [0.3, 0.9]
    assert target.row_losses(np.array([0, 0]), given) == pytest.approx(-np.log([0.7, 0.9]))
    assert decide_classes(*split_thresholds(given[:, :2], 2)).tolist() == [0, 0]


def test_labels_are_written_by_their_thresholds() -> None:
    target = Multilabel("tags", "f1_macro", ("a", "b"), "|", "none")
    given = with_thresholds(np.array([[0.3, 0.3], [0.9, 0.6], [0.1, 0.5]]), np.array([0.2, 0.7]))
    assert target.labels(given) == ["a", "a", "none"]
    assert target.confidence(given)[0] == pytest.approx(0.3 * 0.7)


def test_other_metrics_need_no_thresholds() -> None:
    truth, probabilities = rare_labels(50, 0)
    subset = Multilabel("tags", "subset_accuracy", LABELS, "|", "none")
    assert subset.thresholds(truth, probabilities) is None
    accuracy = Classification("label", "accuracy", ("no", "yes"))
    assert accuracy.thresholds(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]])) is None
    assert accuracy.fixed_thresholds(0.5) is None
    assert accuracy.fixed_thresholds(0.3).tolist() == [0.7, 0.3]  # type: ignore[union-attr]


def test_probabilities_in_the_place_of_thresholds_are_refused() -> None:
    target = Classification("label", "f1_macro", ("no", "yes"))
    with pytest.raises(ModelError, match="thresholds reach from 0 to 1"):
        target.check([0], [[0.5, 0.5, 0.0, 1.0]])
