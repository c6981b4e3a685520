"""Intervals hold the truth as often as they say, and gains are told from luck."""

import numpy as np
import pytest
from scipy import stats

from components.evaluation.bootstrap import bootstrap_intervals, mcnemar, mean_share, paired_gain
from components.metrics.classification import METRICS
from tests.components.small_targets import classes as kinds

TWO = kinds(2)


def two_class(right, classes=2):
    """Targets 0 and probabilities that are right where `right` says."""
    return np.zeros(len(right), int), np.where(right[:, None], [0.8, 0.2], [0.2, 0.8])


def noisy(targets, strength, rng, classes):
    logits = strength * np.eye(classes)[targets] + rng.normal(size=(len(targets), classes))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_accuracy_intervals_hold_the_true_accuracy_as_often_as_they_say():
    # 300 data sets; at a true coverage of .93 fewer than 265 hits have a chance below 1 in 300.
    rng, hits = np.random.default_rng(0), 0
    for seed in range(300):
        interval = bootstrap_intervals(TWO, *two_class(rng.random(200) < 0.7), 200, 0.95, seed, ["accuracy"])
        hits += interval["accuracy"].low <= 0.7 <= interval["accuracy"].high
    assert 265 <= hits <= 299


def test_ranked_intervals_hold_the_true_area():
    # One normal score shifted by 1 against the other: the true AUC is Φ(1/√2).
    rng, hits, truth = np.random.default_rng(1), 0, stats.norm.cdf(1 / np.sqrt(2))
    for seed in range(150):
        y = rng.integers(0, 2, 150)
        p = 1 / (1 + np.exp(-(rng.normal(size=150) + y)))
        interval = bootstrap_intervals(TWO, y, np.stack([1 - p, p], 1), 150, 0.95, seed, ["roc_auc"])[
            "roc_auc"
        ]
        hits += interval.low <= truth <= interval.high
    assert 130 <= hits <= 149


def test_every_metric_has_an_interval_around_its_value():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 5, 200)
    intervals = bootstrap_intervals(kinds("abcde"), y, noisy(y, 2, rng, 5), 300)
    assert set(intervals) == set(METRICS)
    for name, interval in intervals.items():
        assert interval.low <= interval.value <= interval.high, name
        assert interval.low < interval.high, name


def test_the_same_seed_gives_the_same_interval_however_many_metrics_are_asked():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 150)
    p = noisy(y, 1, rng, 3)
    everything = bootstrap_intervals(kinds("abc"), y, p, 200, seed=5)
    assert (
        bootstrap_intervals(kinds("abc"), y, p, 200, seed=5, names=["f1_macro"])["f1_macro"]
        == everything["f1_macro"]
    )
    assert bootstrap_intervals(kinds("abc"), y, p, 200, seed=6)["f1_macro"] != everything["f1_macro"]


def test_no_mistake_on_few_rows_is_not_taken_for_certainty():
    y, p = two_class(np.ones(20, bool))
    accuracy = bootstrap_intervals(TWO, y, p, 100)["accuracy"]
    assert (accuracy.value, accuracy.high) == (1, 1)
    assert accuracy.low == pytest.approx(stats.beta.ppf(0.025, 20, 1))  # Clopper & Pearson


def test_resamples_without_a_class_do_not_break_an_interval():
    rng = np.random.default_rng(4)
    y = np.array([1] + [0] * 40)  # the one row of class 1 is missing in a third of the resamples
    area = bootstrap_intervals(TWO, y, noisy(y, 1, rng, 2), 300)["roc_auc"]
    assert np.isfinite([area.value, area.low, area.high]).all()


def test_metrics_that_are_not_defined_are_left_out():
    intervals = bootstrap_intervals(TWO, *two_class(np.arange(30) % 2 == 0), 100)
    assert "roc_auc" not in intervals
    assert "accuracy" in intervals


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "roc_auc", "log_loss"])
def test_a_real_gain_is_found_and_its_mirror_image_too(metric):
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, 400)
    strong, weak = noisy(y, 3, rng, 3), noisy(y, 1, rng, 3)
    gain, loss = (
        paired_gain(kinds(3), y, strong, weak, metric, 400),
        paired_gain(kinds(3), y, weak, strong, metric, 400),
    )
    assert gain.verdict == "yes"
    assert gain.p_value < 0.02
    assert loss.verdict == "no"
    assert (loss.value, loss.low, loss.high) == pytest.approx((-gain.value, -gain.high, -gain.low))


def test_no_gain_is_claimed_more_often_than_the_level_allows():
    # Two equally good models, 200 times: 'yes' has a chance of .025, more than 14 one below 1 in 1000.
    rng, claims = np.random.default_rng(6), 0
    for seed in range(200):
        y = rng.integers(0, 2, 150)
        claims += (
            paired_gain(TWO, y, noisy(y, 1, rng, 2), noisy(y, 1, rng, 2), "accuracy", 150, seed=seed).verdict
            == "yes"
        )
    assert claims <= 14


def test_pairing_finds_a_gain_that_separate_intervals_hide():
    rng = np.random.default_rng(7)
    right = rng.random(500) < 0.7
    better = right.copy()
    better[np.flatnonzero(~right)[:12]] = True
    y, a = two_class(better)
    _, b = two_class(right)
    of_a, of_b = (bootstrap_intervals(TWO, y, p, 300, names=["accuracy"])["accuracy"] for p in (a, b))
    assert of_a.low < of_b.high
    assert paired_gain(TWO, y, a, b, "accuracy", 300).verdict == "yes"


def test_a_model_has_no_gain_over_itself():
    y, p = two_class(np.arange(50) % 3 > 0)
    gain = paired_gain(TWO, y, p, p, "log_loss", 100)
    assert (gain.value, gain.low, gain.high, gain.p_value, gain.verdict) == (0, 0, 0, 1, "no")


def test_a_gain_in_what_is_not_defined_is_unclear():
    y, p = two_class(np.ones(20, bool))
    gain = paired_gain(TWO, y, p, p, "roc_auc", 100)
    assert np.isnan(gain.value)
    assert gain.verdict == "unclear"


def test_mcnemar_counts_only_rows_on_which_the_two_differ():
    y = np.zeros(100, int)
    a, b = y.copy(), y.copy()
    b[:8] = 1  # only a is right
    a[8:10] = 1  # only b is right
    a[10:40] = b[10:40] = 1
    assert mcnemar(y, a, b) == pytest.approx(stats.binomtest(8, 10).pvalue)
    assert mcnemar(y, a, a) == 1


def grouped(rng, groups, size, accuracy=0.7):
    """Rows of groups that share their chance of being right; intraclass correlation .1."""
    chances = rng.beta(9 * accuracy, 9 * (1 - accuracy), groups)
    parts = np.repeat(np.arange(groups), size)
    return two_class(rng.random(len(parts)) < chances[parts]), parts


@pytest.mark.parametrize(("groups", "size"), [(20, 20), (10, 40), (6, 40)])
def test_intervals_of_grouped_rows_hold_the_truth_as_often_as_they_say(groups, size):
    # 300 data sets; at a true coverage of .93 fewer than 265 hits have a chance below 1 in 300.
    rng, hits, naive = np.random.default_rng(8), 0, 0
    for _ in range(300):
        rows, parts = grouped(rng, groups, size)
        for given in (parts, None):
            made = bootstrap_intervals(TWO, *rows, 100, names=["accuracy"], parts=given)["accuracy"]
            held = made.low <= 0.7 <= made.high
            hits, naive = hits + (given is not None) * held, naive + (given is None) * held
    assert hits >= 265
    assert naive < 245, "rows of a group taken for independent"


def test_accuracies_near_one_hold_the_truth_as_often_as_they_say():
    rng, hits = np.random.default_rng(9), 0
    for _ in range(300):
        made = bootstrap_intervals(TWO, *two_class(rng.random(166) < 0.98), 200, names=["accuracy"])
        hits += made["accuracy"].low <= 0.98 <= made["accuracy"].high
    assert hits >= 270  # of .95, fewer have a chance below 1 in 250


def test_the_interval_of_grouped_rows_by_hand():
    right = np.array([1, 1, 1, 0, 0, 1, 1, 1, 1], bool)
    parts = np.array([7, 7, 7, 3, 3, 3, 9, 9, 9])
    without = np.array([6 / 6, 4 / 6, 4 / 6])  # accuracy without the groups 3, 7 and 9
    error = np.sqrt(2 / 3 * ((without - without.mean()) ** 2).sum())
    made = paired_gain(TWO, *two_class(right), two_class(np.zeros(9, bool))[1], "accuracy", parts=parts)
    assert made.value == pytest.approx(7 / 9)
    assert made.high - made.value == pytest.approx(stats.t.ppf(0.975, 2) * error)
    reach, share = stats.t.ppf(0.975, 2), 7 / 9
    worth = share * (1 - share) / error**2  # Wilson's interval for this many rows
    centre = (share + reach**2 / 2 / worth) / (1 + reach**2 / worth)
    half = reach / (1 + reach**2 / worth) * np.sqrt(share * (1 - share) / worth + reach**2 / 4 / worth**2)
    made = bootstrap_intervals(TWO, *two_class(right), names=["accuracy"], parts=parts)["accuracy"]
    assert (made.low, made.high) == (pytest.approx(centre - half), pytest.approx(min(centre + half, 1)))
    assert mean_share(right, parts, 0.95).low == pytest.approx(made.low)


def test_one_group_says_nothing_of_others():
    rows, one = two_class(np.arange(30) % 3 > 0), np.zeros(30, int)
    made = bootstrap_intervals(TWO, *rows, names=["log_loss"], parts=one)
    assert np.isnan([made["log_loss"].low, made["log_loss"].high]).all()


def test_drawn_groups_agree_with_left_out_groups_where_there_are_many():
    rng = np.random.default_rng(10)
    rows, parts = grouped(rng, 120, 5)
    drawn = bootstrap_intervals(TWO, *rows, 2000, names=["accuracy"], parts=parts)["accuracy"]
    left_out = mean_share(rows[1].argmax(1) == 0, parts, 0.95)
    assert (drawn.low, drawn.high) == pytest.approx((left_out.low, left_out.high), abs=0.004)
