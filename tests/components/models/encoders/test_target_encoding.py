"""Columns of many categories: their targets' means help on new rows, and a name of the row helps nobody."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.config.encoders import EncoderConfig, LinearConfig, TreesConfig
from components.models.encoders import build_encoder
from components.models.encoders.fitted import FitRows, FitTask, FittedEncoder
from components.models.encoders.target_encoding import TargetEncoding
from components.targets import Targets, metric
from tests.components.models.encoders.test_contract import Facts
from tests.components.small_targets import classes, number

CODES = 62
TARGETS = Targets((number(0.0, 1.0),))
NAME = TARGETS.primary.name
encoders = pytest.mark.parametrize(
    "config", [LinearConfig(), TreesConfig(rounds=200)], ids=["linear", "trees"]
)


def rows_of(codes: np.ndarray, numbers: np.ndarray, values: np.ndarray) -> FitRows:
    table = np.stack([numbers, np.zeros_like(numbers), codes], 1)
    batch = {"values": torch.from_numpy(table).float()}
    return FitRows(lambda: [batch], {NAME: torch.from_numpy(values)})


def r2(config: EncoderConfig, effect: float, with_codes: bool) -> float:
    """Test R² where the number explains a part and ``effect`` times a value per category another."""
    rng = np.random.default_rng(0)
    of_code = effect * rng.normal(size=CODES)

    def draw(count: int) -> FitRows:
        codes, numbers = rng.integers(1, CODES - 1, count), rng.normal(size=count)
        values = numbers + of_code[codes] + rng.normal(size=count)
        return rows_of(codes if with_codes else np.ones_like(codes), numbers, values)

    train, val, test = draw(500), draw(150), draw(1000)
    encoder = build_encoder(config, Facts("tabular", numeric=1, cardinalities=[CODES]))
    assert isinstance(encoder, FittedEncoder)
    head, _ = encoder.fit_rows(FitTask(TARGETS, train, val, balanced=False, seed=0))
    natural = head(torch.cat([encoder(batch) for batch in test.batches()])).detach().double()
    target = TARGETS.primary
    return metric(target, "r2", test.values[NAME].numpy(), target.predict(natural).numpy())


@encoders
def test_many_categories_that_matter_help_on_new_rows(config: EncoderConfig) -> None:
    assert r2(config, 1.0, with_codes=True) > r2(config, 1.0, with_codes=False) + 0.15


@encoders
def test_many_categories_at_random_gain_nothing_and_cost_little(config: EncoderConfig) -> None:
    # 1,000 test rows: an R² has a standard error of .02. Some trees see one of the two columns alone.
    assert -0.06 < r2(config, 0.0, with_codes=True) - r2(config, 0.0, with_codes=False) < 0.02


def test_a_training_row_does_not_see_its_own_target() -> None:
    """Categories at random: in-sample means follow the target, those out of fold do not."""
    rng = np.random.default_rng(0)
    codes, values = rng.integers(0, 200, (400, 1)), rng.normal(size=400)
    encoding = TargetEncoding([200])
    out_of_fold = encoding.learn(codes, TARGETS, {NAME: torch.from_numpy(values)}, seed=0)[:, 0]
    assert abs(np.corrcoef(out_of_fold, values)[0, 1]) < 0.1
    assert np.corrcoef(encoding(codes)[:, 0], values)[0, 1] > 0.5


def test_means_are_of_the_rows_that_have_the_target() -> None:
    encoding = TargetEncoding([40, 2])
    codes = np.array([[1, 0], [1, 1], [2, 0], [2, 1]])
    encoding.learn(codes, TARGETS, {NAME: torch.tensor([4.0, np.nan, 1.0, 1.0])}, seed=0)
    assert encoding.columns == [0], "the other column has few codes"
    means = encoding.means[:, 0]
    # the mean of three rows, 2, counts ten
    np.testing.assert_allclose(means[:4], [2.0, (4 + 20) / 11, (2 + 20) / 12, 2.0])


def test_classes_have_a_share_each_and_a_state_is_read_again() -> None:
    targets = Targets((classes(3),))
    codes = np.array([[0], [0], [1]] * 10)
    values = {"label": torch.tensor([0, 0, 2] * 10)}
    encoding = TargetEncoding([40])
    encoding.learn(codes, targets, values, seed=0)
    np.testing.assert_allclose(encoding.means[0], [(20 + 10 * 2 / 3) / 30, 0, (10 / 3) / 30])
    fresh = TargetEncoding([40])
    fresh.load_state_dict(encoding.state_dict())
    np.testing.assert_array_equal(fresh(codes), encoding(codes))
    assert fresh.width == 3
