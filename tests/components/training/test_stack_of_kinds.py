"""Late fusion of numbers, labels and several targets: the product of independent experts, less the prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from components.models.fusion.late import Late
from components.targets import Targets
from components.training.stack import held_out, stack
from tests.components.small_targets import classes, labels, number

PRICE = number(mean=50.0, std=10.0)
TARGETS = Targets((PRICE,))
PRIOR = torch.tensor([0.0, 1.0])


def readings(
    rows: int, seed: int, noises: tuple[float, ...] = (8.0, 5.0), heat: tuple[float, ...] = (1.0,) * 3
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Independent noisy readings of a number that is drawn from N(50, 10²).

    Each input gives the true posterior given its own reading, made too sure by ``heat``. Returns natural
    parameters, the numbers, and mean and standard deviation of the posterior given all readings.
    """
    rng = np.random.default_rng(seed)
    truth = rng.normal(50, 10, rows)
    natural, precision, weighted = {}, np.full(rows, 1 / 10**2), np.full(rows, 50 / 10**2)
    for name, noise, factor in zip("abc", noises, heat, strict=False):
        seen = truth + rng.normal(0, noise, rows)
        own_precision = 1 / 10**2 + 1 / noise**2
        own_mean = (50 / 10**2 + seen / noise**2) / own_precision
        standard = (own_mean - 50) / 10, own_precision * 10**2
        natural[name] = factor * torch.from_numpy(
            np.stack([standard[0] * standard[1], np.full(rows, standard[1])], 1)
        )
        precision, weighted = precision + 1 / noise**2, weighted + seen / noise**2
    return (
        natural,
        torch.from_numpy(truth),
        torch.from_numpy(np.stack([weighted / precision, precision**-0.5], 1)),
    )


def everywhere(natural: dict[str, Tensor]) -> Tensor:
    return torch.ones(len(next(iter(natural.values()))), len(natural), dtype=torch.bool)


def pooled(late: Late, natural: dict[str, Tensor], present: Tensor) -> Tensor:
    with torch.no_grad():
        return late.pool(late.scale(natural, present), present)


def test_the_formula_alone_is_the_product_of_gaussians_less_the_prior() -> None:
    natural, _, ideal = readings(100, 0)
    late = Late({"a": 1, "b": 1}, TARGETS)
    late.bias.data[:] = -PRIOR  # nothing learned yet
    predictions = PRICE.predict(pooled(late, natural, everywhere(natural)))
    torch.testing.assert_close(predictions.double(), ideal, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("heat", [(1, 1), (3, 0.5)], ids=["calibrated", "over- and underconfident"])
def test_two_readings_are_pooled_as_the_product_of_gaussians(heat: tuple[float, ...]) -> None:
    natural, truth, _ = readings(2000, 0, heat=heat)
    late = Late({"a": 1, "b": 1}, TARGETS)
    stack(late, natural, everywhere(natural), {"price": truth}, PRIOR)
    test, numbers, ideal = readings(5000, 1, heat=heat)
    predictions = PRICE.predict(pooled(late, test, everywhere(test))).double()
    # 2000 rows tell weights and temperatures to some percent; the ideal deviation is 3.9
    assert (predictions[:, 0] - ideal[:, 0]).abs().mean() < 0.3
    torch.testing.assert_close(predictions[:, 1], ideal[:, 1], rtol=0.05, atol=0)
    error = (predictions[:, 0] - numbers).square().mean().sqrt().item()
    assert error == pytest.approx(ideal[0, 1].item(), rel=0.05)


@pytest.mark.parametrize("subset", [(1, 1, 0), (1, 0, 1), (0, 0, 1)])
def test_every_subset_of_three_readings_is_near_its_own_ideal(subset: tuple[int, ...]) -> None:
    noises = (8.0, 5.0, 12.0)
    natural, truth, _ = readings(2000, 0, noises)
    late = Late(dict.fromkeys("abc", 1), TARGETS)
    stack(late, natural, everywhere(natural), {"price": truth}, PRIOR)
    test, _, _ = readings(2000, 1, noises)
    present = torch.tensor([subset], dtype=torch.bool).expand(2000, 3)
    predictions = PRICE.predict(pooled(late, test, present)).double()
    chosen = [test[name] for name, is_present in zip("abc", subset, strict=True) if is_present]
    ideal = PRICE.predict(sum(chosen) - (len(chosen) - 1) * PRIOR.double())  # type: ignore[arg-type]
    assert (predictions[:, 0] - ideal[:, 0]).abs().mean() < 0.4
    torch.testing.assert_close(predictions[:, 1], ideal[:, 1], rtol=0.06, atol=0)


def test_rows_of_which_all_inputs_are_unsure_do_not_fly_off() -> None:
    # three inputs less sure than the prior: their sum less two priors has no precision left
    late = Late(dict.fromkeys("abc", 1), TARGETS)
    late.bias.data[:] = -2 * PRIOR
    natural = {name: torch.tensor([[0.2, 0.5]]) for name in "abc"}
    mean, deviation = PRICE.predict(pooled(late, natural, everywhere(natural)))[0].tolist()
    assert abs(mean - 50) <= 10 * 0.6 / 0.5
    assert deviation == pytest.approx(10 / 0.5**0.5)


def test_unsure_rows_among_others_leave_the_pooling_finite() -> None:
    natural, truth, _ = readings(300, 0, (8.0, 5.0, 12.0))
    for value in natural.values():
        value[::10] = value[::10] / value[::10, 1:] * 0.2
    late = Late(dict.fromkeys("abc", 1), TARGETS)
    stack(late, natural, everywhere(natural), {"price": truth}, PRIOR)
    predictions = PRICE.predict(pooled(late, natural, everywhere(natural)))
    assert torch.isfinite(predictions).all()
    assert (predictions[:, 0] - 50).abs().max() < 100


def test_labels_are_pooled_as_the_product_of_their_odds() -> None:
    rng = np.random.default_rng(0)
    target = labels("ab")
    prior = torch.tensor([-1.0, 0.5], dtype=torch.float64)

    def draw(rows: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        truth = (rng.random((rows, 2)) < prior.sigmoid().numpy()).astype(float)
        evidence = [s * (s * (2 * truth - 1) + rng.normal(size=(rows, 2))) * 2 for s in (1.0, 0.7)]
        single = {name: torch.from_numpy(e) + prior for name, e in zip("ab", evidence, strict=True)}
        return single, torch.from_numpy(truth), torch.from_numpy(sum(evidence)) + prior

    natural, truth, _ = draw(2000)
    late = Late({"a": 1, "b": 1}, Targets((target,)))
    stack(late, natural, everywhere(natural), {"tags": truth}, prior.float())
    test, values, ideal = draw(4000)
    pooled_loss, best = (
        target.losses(n, values).mean().item() for n in (pooled(late, test, everywhere(test)), ideal)
    )
    single = min(target.losses(value, values).mean().item() for value in test.values())
    assert pooled_loss - best < 0.05 * (single - best)


def test_each_of_two_targets_is_pooled_on_the_rows_that_have_it() -> None:
    targets = Targets((classes(2), PRICE))
    natural, truth, _ = readings(400, 0)
    kind = (truth > 50).long()
    whole = {
        name: torch.cat([torch.stack([-value[:, 0], value[:, 0]], 1), value], 1)
        for name, value in natural.items()
    }
    prior = torch.cat([torch.zeros(2), PRIOR])
    known = torch.arange(400) % 3 > 0
    values = {"label": kind, "price": torch.where(known, truth, torch.nan)}
    both = Late({"a": 1, "b": 1}, targets)
    stack(both, whole, everywhere(whole), values, prior)

    alone = Late({"a": 1, "b": 1}, TARGETS)
    some = {name: value[known] for name, value in natural.items()}
    stack(alone, some, everywhere(some), {"price": truth[known]}, PRIOR)
    torch.testing.assert_close(both.log_weight[:, 1], alone.log_weight[:, 0])
    torch.testing.assert_close(both.log_temperature[1], alone.log_temperature[0])
    torch.testing.assert_close(both.bias[:, 2:], alone.bias)
    assert not torch.allclose(both.log_temperature[0], both.log_temperature[1])
    outputs = pooled(both, whole, everywhere(whole))
    torch.testing.assert_close(outputs[:, 2:], pooled(alone, natural, everywhere(natural)))

    single = {name: value.float() for name, value in whole.items()}
    parts = np.arange(len(kind)) % 5
    (fair,) = held_out(targets, single, everywhere(whole), values, prior, [everywhere(whole)], parts)
    assert torch.isfinite(fair).all()
    assert (fair[:, :2].argmax(1) == kind).double().mean() > 0.75


def test_a_target_that_no_row_has_keeps_its_start() -> None:
    natural, _, _ = readings(20, 0)
    late = Late({"a": 1, "b": 1}, TARGETS)
    stack(late, natural, everywhere(natural), {"price": torch.full((20,), torch.nan)}, PRIOR)
    assert (late.log_weight == 0).all()
    assert (late.log_temperature == 0).all()
    torch.testing.assert_close(late.bias.data, -PRIOR.expand(4, -1))
