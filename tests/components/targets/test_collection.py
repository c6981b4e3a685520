"""Several targets side by side."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from components.targets import Targets, cells_of, known_rows
from tests.components.small_targets import (
    KINDS,
    classes,
    drawn_natural,
    drawn_values,
    labels,
    number,
    ordered,
)

PRICE, KIND, TAGS, GRADE = number(), classes("xyz"), labels("ab"), ordered(4)
ALL = Targets((KIND, PRICE, TAGS, GRADE))
TABLE = pd.DataFrame(
    {
        "target.label": ["x", None, "z", "y"],
        "target.price": ["1.5", "3", None, "4"],
        "target.tags": ["a|b", "none", None, "b"],
        "target.grade": ["1", "4", "2", None],
    }
)


def test_their_natural_parameters_stand_in_their_order() -> None:
    assert ALL.width == 3 + 2 + 2 + 4
    assert ALL.slices == {
        "label": slice(0, 3),
        "price": slice(3, 5),
        "tags": slice(5, 7),
        "grade": slice(7, 11),
    }
    assert ALL.owners().tolist() == [0] * 3 + [1] * 2 + [2] * 2 + [3] * 4
    assert ALL.primary is KIND
    assert len(ALL) == 4


def test_natural_and_proper_work_on_each_ones_own_part() -> None:
    outputs = torch.randn(6, ALL.width, generator=torch.Generator().manual_seed(0))
    natural = ALL.natural(outputs)
    least = torch.ones_like(natural)
    brought_back = ALL.proper(-natural, least)
    for target in ALL:
        part = ALL.slices[target.name]
        torch.testing.assert_close(natural[:, part], target.natural(outputs[:, part]))
        expected = target.proper(-natural[:, part], least[:, part])
        torch.testing.assert_close(brought_back[:, part], expected)
    assert (brought_back[:, ALL.slices["price"]][:, 1] == 1).all()


def test_the_prior_is_each_ones_own() -> None:
    values = ALL.encode(TABLE)
    prior = ALL.prior(values)
    for target in ALL:
        torch.testing.assert_close(prior[ALL.slices[target.name]], target.prior(values[target.name].numpy()))


def test_cells_are_encoded_by_name_and_empty_ones_stay_unknown() -> None:
    values = ALL.encode(TABLE)
    assert values["label"].tolist() == [0, -1, 2, 1]
    assert values["price"][[0, 1, 3]].tolist() == [1.5, 3, 4]
    assert {name: known_rows(value).tolist() for name, value in values.items()} == {
        "label": [True, False, True, True],
        "price": [True, True, False, True],
        "tags": [True, True, False, True],
        "grade": [True, True, True, False],
    }
    for target in ALL:
        encoded = values[target.name]
        assert known_rows(encoded).tolist() == target.known(encoded.numpy()).tolist()


@pytest.mark.parametrize("empty", [None, np.nan, pd.NA])
def test_whatever_means_nothing_is_an_empty_cell(empty: object) -> None:
    table = pd.DataFrame({"target.price": pd.Series(["2", empty], dtype=object)})
    assert cells_of(table, "price") == ["2", None]
    whole_column = pd.DataFrame({"target.price": [empty, empty]})
    assert cells_of(whole_column, "price") == [None, None]


def test_a_loss_is_the_mean_over_the_rows_that_have_the_target() -> None:
    values = ALL.encode(TABLE)
    natural = ALL.natural(torch.randn(4, ALL.width, generator=torch.Generator().manual_seed(1)))
    losses = ALL.losses(natural, values)
    for target in ALL:
        rows = known_rows(values[target.name])
        own = target.losses(natural[rows][:, ALL.slices[target.name]], values[target.name][rows])
        torch.testing.assert_close(losses[target.name], own.mean())


def test_rows_without_a_target_do_not_reach_its_loss_or_its_gradient() -> None:
    values = ALL.encode(TABLE)
    outputs = torch.randn(4, ALL.width, generator=torch.Generator().manual_seed(2), requires_grad=True)
    losses = ALL.losses(ALL.natural(outputs), values)
    for target in ALL:
        (gradient,) = torch.autograd.grad(losses[target.name], outputs, retain_graph=True)
        assert torch.isfinite(gradient).all(), "NaN of an unknown value must not leak"
        reachable = torch.zeros(4, ALL.width, dtype=torch.bool)
        reachable[:, ALL.slices[target.name]] = known_rows(values[target.name]).unsqueeze(1)
        assert (gradient[~reachable] == 0).all()
        assert (gradient[reachable] != 0).any()


def test_a_batch_in_which_no_row_has_a_target_has_no_loss_of_it() -> None:
    targets = Targets((KIND, PRICE))
    values: dict[str, Tensor] = {"label": torch.tensor([0, 1]), "price": torch.full((2,), torch.nan)}
    natural = targets.natural(torch.randn(2, 5, requires_grad=True))
    losses = targets.losses(natural, values)
    assert losses["price"].item() == 0
    sum(losses.values()).backward()  # type: ignore[union-attr]


def test_several_kinds_travel_as_json() -> None:
    assert Targets.from_json(json.loads(json.dumps(ALL.to_json()))) == ALL


@pytest.mark.parametrize("kind", KINDS)
def test_one_alone_is_what_it_is_among_others(kind: str) -> None:
    target = KINDS[kind]
    alone, other = Targets((target,)), number(name="another")
    both = Targets((other, target))
    natural, values = drawn_natural(target, 10), torch.from_numpy(drawn_values(target, 10))
    beside = torch.cat([drawn_natural(other, 10), natural], dim=1)
    unknown = torch.full((10,), torch.nan)
    losses = both.losses(beside, {"another": unknown, target.name: values})
    torch.testing.assert_close(losses[target.name], alone.losses(natural, {target.name: values})[target.name])
