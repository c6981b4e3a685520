"""Temperature scaling recovers what was done to the logits."""

import numpy as np
import pytest

from components.errors import DataError, ModelError
from components.metrics.calibration import apply, fit_temperature, reliability, softmax
from components.targets.metrics import metric
from tests.components.small_targets import classes as kinds


def calibrated(rows=8000, classes=4, seed=0):
    """Logits whose softmax is the true distribution of the targets drawn from it."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(rows, classes))
    draws = rng.random((rows, 1))
    return logits, (softmax(logits).cumsum(axis=1) < draws).sum(axis=1).clip(0, classes - 1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature):
    logits, targets = calibrated()
    # The estimate's standard deviation is about 2 % at 8000 rows.
    assert fit_temperature(logits * temperature, targets) == pytest.approx(temperature, rel=0.06)


def test_scaling_mends_overconfidence_and_keeps_predictions():
    logits, targets = calibrated()
    hot = 3 * logits
    before, after = softmax(hot), apply(hot, fit_temperature(hot, targets))
    assert metric(kinds(4), "calibration_error", targets, before) > 0.1
    assert metric(kinds(4), "calibration_error", targets, after) < 0.03
    assert (before.argmax(1) == after.argmax(1)).all()


def test_logits_that_say_nothing_are_left_alone():
    assert fit_temperature(np.zeros((10, 3)), np.arange(10) % 3) == 1


def test_separable_rows_do_not_ask_for_boundless_confidence():
    targets = np.arange(20) % 2
    temperature = fit_temperature(np.eye(2)[targets], targets)
    assert 0.1 < temperature < 0.5  # the likelihood alone goes to the bound, 0.05


def test_large_logits_do_not_overflow():
    np.testing.assert_allclose(softmax([[1e4, 0.0], [-1e4, 0.0]]), [[1, 0], [0, 1]])


def test_unusable_logits_are_refused():
    with pytest.raises(DataError, match="no rows to calibrate on"):
        fit_temperature(np.empty((0, 2)), [])
    with pytest.raises(ModelError, match="not finite"):
        fit_temperature([[np.inf, 0.0]], [0])


def test_reliability_bins_hold_all_rows_and_give_the_calibration_error():
    logits, targets = calibrated(500)
    table = reliability(targets, softmax(logits))
    assert table["count"].sum() == 500
    assert table.loc[table["count"] == 0, "accuracy"].isna().all()
    filled = table[table["count"] > 0]
    assert ((filled["confidence"] > filled["low"]) & (filled["confidence"] <= filled["high"])).all()
    error = (filled["count"] * (filled["accuracy"] - filled["confidence"]).abs()).sum() / 500
    assert error == pytest.approx(metric(kinds(4), "calibration_error", targets, softmax(logits)))
