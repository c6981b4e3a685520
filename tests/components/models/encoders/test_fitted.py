"""The contract of encoders that are fitted without gradient, held by every one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from components.config.encoders import FittedConfig
from components.models.encoders.fitted import FitTask
from components.targets import Targets, known_rows, metric
from tests.components.models.encoders.small_fitted import FITTED, fit, fresh, rows_of
from tests.components.models.encoders.test_contract import CONFIGS
from tests.components.small_targets import KINDS, classes, labels, number

every_encoder = pytest.mark.parametrize("name", FITTED)
every_kind = pytest.mark.parametrize("kind", KINDS)
# Float32 sums in another order, of another batch, differ in the last digits.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
LEARNED = {"accuracy": 0.8, "quadratic_kappa": 0.8, "f1_macro": 0.8, "r2": 0.7}


def test_every_encoder_without_gradient_stands_under_this_contract() -> None:
    assert set(FITTED) == {name for name, kind in CONFIGS.items() if issubclass(kind, FittedConfig)}


@every_encoder
@every_kind
def test_the_head_on_its_embeddings_predicts_new_rows(name: str, kind: str) -> None:
    target = KINDS[kind]
    targets = Targets((target,))
    encoder, head, _ = fit(name, targets)
    rows, batch = rows_of(name, targets, 200, seed=2)
    natural = head(encoder(batch))
    assert natural.shape == (200, target.width)
    truth = rows.values[target.name].numpy()
    predictions = target.predict(natural.detach().double()).numpy()
    assert metric(target, target.metric, truth, predictions) > LEARNED[target.metric]
    prior = target.predict(targets.prior(rows.values).expand(200, -1).double()).numpy()
    assert metric(target, "log_loss", truth, predictions) < metric(target, "log_loss", truth, prior)


@every_encoder
def test_several_targets_of_which_rows_lack_some_share_an_embedding(name: str) -> None:
    targets = Targets((classes(3), labels("abc"), number()))
    encoder, head, _ = fit(name, targets, rows=400, share=0.7)
    rows, batch = rows_of(name, targets, 200, seed=2)
    natural = head(encoder(batch)).detach().double()
    for target in targets:
        predictions = target.predict(natural[:, targets.slices[target.name]]).numpy()
        truth = rows.values[target.name]
        assert known_rows(truth).all()
        # one signal drives the last target alone; the others' inputs are noise to it
        assert np.isfinite(predictions).all()
    assert metric(targets.each[-1], "r2", truth.numpy(), predictions) > 0.5


@every_encoder
def test_a_fresh_instance_with_its_weights_gives_the_same_output(name: str) -> None:
    targets = Targets((KINDS["classification"],))
    encoder, _, _ = fit(name, targets)
    batch = rows_of(name, targets, 20, seed=2)[1]
    other = fresh(name)
    other.load_state_dict(encoder.state_dict())
    assert other.width == encoder.width == encoder(batch).shape[1]
    torch.testing.assert_close(other(batch), encoder(batch), rtol=0, atol=0)


@every_encoder
def test_rows_do_not_leak_into_each_other(name: str) -> None:
    targets = Targets((KINDS["classification"],))
    encoder, _, _ = fit(name, targets)
    batch = rows_of(name, targets, 9, seed=2)[1]
    alone = torch.cat([encoder({k: v[i : i + 1] for k, v in batch.items()}) for i in range(9)])
    torch.testing.assert_close(encoder(batch), alone, **TOLERANCE)


@every_encoder
@every_kind
def test_the_same_seed_gives_the_same_bits_and_a_choice_that_json_keeps(name: str, kind: str) -> None:
    targets = Targets((KINDS[kind],))
    encoder, _, choice = fit(name, targets, seed=3)
    again, _, _ = fit(name, targets, seed=3)
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    from_choice, _, same = fit(name, targets, seed=3, choice=json.loads(json.dumps(choice)))
    assert same == choice
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, from_choice.state_dict()[key]), key


@every_encoder
def test_no_label_of_validation_is_looked_at_where_hyper_parameters_are_given(name: str) -> None:
    """A fit without a fold takes those of the fit to all rows; only scales come from validation."""
    target = KINDS["classification"]
    targets = Targets((target,))
    _, _, choice = fit(name, targets)
    train, val = rows_of(name, targets, 240, 0)[0], rows_of(name, targets, 120, 1)[0]
    predictions = []
    for shuffled in (False, True):
        values = {key: value.flip(0) if shuffled else value for key, value in val.values.items()}
        encoder = fresh(name)
        task = FitTask(targets, train, type(val)(val.batches, values), False, 0, choice)
        head, _ = encoder.fit_rows(task)
        predictions.append(head(encoder(rows_of(name, targets, 30, 2)[1])).argmax(1))
    assert torch.equal(*predictions)


@every_encoder
def test_balanced_weights_leave_a_rare_class_its_frequency(name: str) -> None:
    target = classes(2, "balanced_accuracy")
    targets = Targets((target,))
    probabilities = []
    for balanced in (False, True):
        encoder = fresh(name)
        tasks = []
        for seed in (0, 1):
            rows, batch = rows_of(name, targets, 300, seed)
            # of the rows that look like class 1, a third is
            is_one = torch.from_numpy(np.random.default_rng(seed + 50).random(300) < 1 / 3)
            values = (rows.values[target.name] == 1) & is_one
            tasks.append(type(rows)(rows.batches, {target.name: values.long()}))
        head, _ = encoder.fit_rows(FitTask(targets, *tasks, balanced=balanced, seed=0))
        share = tasks[1].values[target.name].double().mean()
        probabilities.append(float(head(encoder(batch)).softmax(1)[:, 1].detach().mean() - share))
    assert max(map(abs, probabilities)) < 0.06  # the weighted fit alone gives it .3 more


@every_encoder
@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
def test_few_rows_of_one_class_or_value_are_enough(name: str, kind: str) -> None:
    target = KINDS[kind]
    targets = Targets((target,))
    train, val = (rows_of(name, targets, rows, seed)[0] for seed, rows in ((0, 3), (1, 1)))
    values = {key: value[:1].expand(value.shape).clone() for key, value in train.values.items()}
    encoder = fresh(name)
    head, _ = encoder.fit_rows(FitTask(targets, type(train)(train.batches, values), val, False, 0))
    assert torch.isfinite(head(encoder(rows_of(name, targets, 5, 2)[1]))).all()
