"""Numbers on a log scale: predictions are those of the log-normal distribution, mapped back right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from components.metrics.regression import WeightedRegression
from components.targets import Regression, Targets
from components.targets.conformal import covered, fit_quantile, sizes
from components.targets.metrics import metric

SHIFT = 2.0
PRICE = Regression("price", "r2", 3.0, 0.8, "gaussian", shift=SHIFT, least=0.5)


def natural(mean: list[float], deviation: list[float]) -> torch.Tensor:
    """Natural parameters of Gaussians on the standardised log scale."""
    precision = 1 / torch.tensor(deviation, dtype=torch.float64).square()
    return torch.stack([torch.tensor(mean, dtype=torch.float64) * precision, precision], 1)


def test_a_prediction_is_mean_and_deviation_of_the_log_normal_distribution() -> None:
    predicted = PRICE.predict(natural([0.5, -1.0], [0.4, 0.7])).numpy()
    for row, (mean, deviation) in enumerate([(0.5, 0.4), (-1.0, 0.7)]):
        expected = stats.lognorm(s=0.8 * deviation, scale=np.exp(3.0 + 0.8 * mean))
        np.testing.assert_allclose(predicted[row], [expected.mean() - SHIFT, expected.std()])


def test_a_prediction_gives_its_distribution_back() -> None:
    parameters = natural([0.5, -1.0, 2.0], [0.4, 0.7, 0.01])
    predictions = PRICE.predict(parameters)
    mean, deviation = PRICE.gaussian(predictions.numpy())
    np.testing.assert_allclose(mean, 3.0 + 0.8 * np.array([0.5, -1.0, 2.0]))
    np.testing.assert_allclose(deviation, 0.8 * np.array([0.4, 0.7, 0.01]), rtol=1e-6)
    torch.testing.assert_close(PRICE.mix([predictions]), parameters, rtol=1e-6, atol=0)


def test_a_mixture_has_mean_and_variance_of_its_parts() -> None:
    parts = [PRICE.predict(natural([mean], [0.5])) for mean in (-1.0, 1.0)]
    mixed = PRICE.predict(PRICE.mix(parts))[0]
    means, deviations = torch.cat(parts).unbind(1)
    variance = (deviations.square() + means.square()).mean() - means.mean().square()
    torch.testing.assert_close(mixed, torch.stack([means.mean(), variance.sqrt()]))


def test_losses_and_metrics_are_those_of_the_log_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    predictions = PRICE.predict(natural([0.5] * 4000, [0.4] * 4000)).numpy()
    expected = stats.lognorm(s=0.32, scale=np.exp(3.4), loc=-SHIFT)
    values = expected.rvs(4000, random_state=rng)
    np.testing.assert_allclose(PRICE.row_losses(values, predictions), -expected.logpdf(values))
    result = {name: metric(PRICE, name, values, predictions) for name in PRICE.metrics}
    assert result["log_loss"] == pytest.approx(-expected.logpdf(values).mean())
    assert result["interval_coverage"] == pytest.approx(0.9, abs=0.02)
    assert result["calibration_error"] < 0.02
    assert result["interval_width"] == pytest.approx(np.subtract(*expected.ppf([0.95, 0.05])))
    plain = WeightedRegression(values, predictions, ["rmse"])(np.ones((4000, 1)))
    assert result["rmse"] == plain["rmse"][0]


def test_conformal_intervals_hold_their_share_and_reach_further_up() -> None:
    rng = np.random.default_rng(1)
    mean = rng.normal(0, 0.5, 4000)
    predictions = PRICE.predict(natural(mean.tolist(), [0.2] * 4000)).numpy()
    values = np.exp(3.0 + 0.8 * (mean + 0.6 * rng.normal(size=4000))) - SHIFT  # thrice as wide as predicted
    quantile = fit_quantile(PRICE.nonconformity(values[:2000], predictions[:2000]), 0.8)
    quantiles = np.tile(quantile, (2000, 1))
    inside = covered(PRICE, values[2000:], predictions[2000:], quantiles)
    assert inside.mean() == pytest.approx(0.8, abs=0.03)
    low, high = PRICE.interval(predictions[2000:], quantiles[:, 0])
    assert (inside == ((values[2000:] >= low) & (values[2000:] <= high))).all()
    median = np.exp(PRICE.gaussian(predictions[2000:])[0]) - SHIFT
    assert (high - median > median - low).all()
    assert (low > -SHIFT).all()
    np.testing.assert_allclose(sizes(PRICE, predictions[2000:], quantiles), high - low)
    assert np.isinf(sizes(PRICE, predictions[2000:], np.full_like(quantiles, np.inf))).all()


def test_numbers_and_predictions_out_of_range_stay_finite() -> None:
    predictions = PRICE.predict(torch.tensor([[1e6, 1e-4], [-1e6, 1e-4], [0.0, 1e-4]])).numpy()
    assert np.isfinite(predictions).all()
    values = np.array([-100.0, 0.0, 1e9])
    foreign = np.array([[-50.0, 1.0], [3.0, 1e-6], [0.0, 1.0]])  # of a champion without a log scale
    for each in (predictions, foreign):
        assert np.isfinite(PRICE.row_losses(values, each)).all()
        assert np.isfinite(PRICE.nonconformity(values, each)).all()


def test_targets_keep_their_scale_in_json_and_read_those_of_before() -> None:
    assert Targets.from_json(Targets((PRICE,)).to_json()) == Targets((PRICE,))
    before = {"name": "x", "metric": "r2", "mean": 1.0, "std": 2.0, "loss": "huber", "task": "regression"}
    assert Targets.from_json([before]).primary == Regression("x", "r2", 1.0, 2.0, "huber")
