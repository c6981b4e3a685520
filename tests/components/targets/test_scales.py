"""Scales of a number: chosen by held-out likelihood, with moments and intervals mapped back right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from components.targets import Regression, Targets
from components.targets.conformal import covered, fit_quantile
from components.targets.metrics import metric
from components.targets.scales import Asinh, Log, Own, Scale, asinh_scale, likeliest_scale

BALANCE = Regression("balance", "r2", 0.4, 0.8, "gaussian", centre=-3.0, spread=2.0)
SCALES = {"own": Own(), "log": Log(2.0, 0.5), "asinh": Asinh(-3.0, 2.0)}
every_scale = pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)


def johnson(mean: float, deviation: float) -> stats.rv_continuous:
    """The distribution that is Gaussian on the scale of BALANCE."""
    return stats.johnsonsu(a=-mean / deviation, b=1 / deviation, loc=-3.0, scale=2.0)


@every_scale
def test_moments_are_those_of_a_simulation_and_give_the_distribution_back(scale: Scale) -> None:
    mean, deviation = 0.7, 0.4
    drawn = scale.outer(np.random.default_rng(0).normal(mean, deviation, 400_000))
    middle, std = scale.moments(torch.tensor([mean]).double(), torch.tensor([deviation**2]).double())
    # the standard error of a mean of 400,000 is .0016 of its deviation
    assert middle.item() == pytest.approx(drawn.mean(), abs=0.01 * drawn.std())
    assert std.item() == pytest.approx(drawn.std(), rel=0.02)
    back, variance = scale.gaussian(middle, std.square())
    assert (back.item(), variance.item()) == (pytest.approx(mean), pytest.approx(deviation**2))


@every_scale
def test_the_jacobian_is_the_slope_and_ends_come_back(scale: Scale) -> None:
    inner = np.linspace(-2.0, 3.0, 11)
    slope = (scale.outer(inner + 1e-6) - scale.outer(inner - 1e-6)) / 2e-6
    np.testing.assert_allclose(scale.log_slope(inner), np.log(slope), atol=1e-6)
    values = scale.outer(inner)
    expected = np.maximum(inner, np.log(0.5)) if isinstance(scale, Log) else inner
    np.testing.assert_allclose(scale.inner(torch.from_numpy(values)).numpy(), expected, atol=1e-7)
    assert np.isposinf(scale.outer(np.array([np.inf])))


def test_losses_and_intervals_are_those_of_johnsons_distribution() -> None:
    precision = 1 / 0.5**2
    natural = torch.tensor([[0.25 * precision, precision]], dtype=torch.float64).expand(3000, 2)
    predictions = BALANCE.predict(natural).numpy()
    expected = johnson(0.4 + 0.8 * 0.25, 0.8 * 0.5)
    np.testing.assert_allclose(predictions[0], [expected.mean(), expected.std()], rtol=1e-6)
    values = expected.rvs(3000, random_state=np.random.default_rng(0))
    np.testing.assert_allclose(BALANCE.row_losses(values, predictions), -expected.logpdf(values), rtol=1e-6)
    result = {name: metric(BALANCE, name, values, predictions) for name in BALANCE.metrics}
    assert result["log_loss"] == pytest.approx(-expected.logpdf(values).mean())
    assert result["interval_width"] == pytest.approx(np.subtract(*expected.ppf([0.95, 0.05])))
    assert result["interval_coverage"] == pytest.approx(0.9, abs=0.02)
    quantile = fit_quantile(BALANCE.nonconformity(values[:1500], predictions[:1500]), 0.8)
    inside = covered(BALANCE, values[1500:], predictions[1500:], np.tile(quantile, (1500, 1)))
    assert inside.mean() == pytest.approx(0.8, abs=0.04)


def test_a_mixture_has_mean_and_variance_of_its_parts() -> None:
    parts = [BALANCE.predict(torch.tensor([[mean * 4.0, 4.0]]).double()) for mean in (-1.0, 1.5)]
    mixed = BALANCE.predict(BALANCE.mix(parts, [1.0, 3.0]))[0]
    means, deviations = torch.cat(parts).unbind(1)
    shares = torch.tensor([0.25, 0.75]).double()
    mean = (shares * means).sum()
    variance = (shares * (deviations.square() + means.square())).sum() - mean.square()
    torch.testing.assert_close(mixed, torch.stack([mean, variance.sqrt()]), rtol=1e-9, atol=0)


def test_numbers_and_predictions_out_of_range_stay_finite() -> None:
    predictions = BALANCE.predict(torch.tensor([[1e6, 1e-4], [-1e6, 1e-4], [0.0, 1e-4]])).numpy()
    foreign = np.array([[1e200, 1.0], [3.0, 1e-9], [0.0, 1e150]])
    for each in (predictions, foreign):
        assert np.isfinite(each).all()
        assert np.isfinite(BALANCE.row_losses(np.array([-1e9, 0.0, 1e9]), each)).all()


def test_a_target_keeps_its_scale_in_json() -> None:
    assert Targets.from_json(Targets((BALANCE,)).to_json()) == Targets((BALANCE,))


RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=300)
NUMBERS = {
    "log-normal": (np.exp(RNG.normal(10, 1, 300)), Log),
    "zeros": (np.exp(RNG.normal(0, 1.5, 300)) * (RNG.random(300) > 0.1), Log),
    "normal": (100 + 10 * NORMAL, Own),
    "uniform": (RNG.uniform(0, 1, 300), Own),
    "few": (np.exp(RNG.normal(10, 1, 20)), Own),
    "skewed to the left": (100 - np.exp(RNG.normal(0, 1.2, 300)), Asinh),
    "long tails on both sides": (3 + np.sinh(2 * NORMAL), Asinh),
    "skewed beyond 0": (np.exp(RNG.normal(0, 1.5, 300)) - 1, Asinh),
    "constant but for some": (np.where(np.arange(300) < 290, -1.0, NORMAL), Own),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_the_likeliest_scale_is_taken_and_the_simpler_one_where_both_do(kind: str) -> None:
    numbers, expected = NUMBERS[kind]
    assert isinstance(likeliest_scale(numbers), expected)


def test_an_outlier_does_not_spoil_the_scale_of_the_others() -> None:
    numbers = np.append(RNG.uniform(-10, 10, 199), 1e6)
    scale = likeliest_scale(numbers)
    assert isinstance(scale, Asinh)
    inner = scale.inner(torch.from_numpy(numbers)).numpy()
    standard = (inner - inner.mean()) / inner.std()
    assert standard[:-1].std() > 0.5, "on the scale of the numbers it is .0001"
    assert asinh_scale(np.append(np.full(100, 2.0), 5.0)) is None, "quartiles are equal"
