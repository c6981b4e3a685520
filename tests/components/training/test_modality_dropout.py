"""Modality dropout: as often as asked, never all of a row."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config.fusion import ModalityDropout
from components.training.modality_dropout import hide, rate_at


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 20),
    inputs=st.integers(1, 5),
    rate=st.floats(0, 0.999),
    share=st.floats(0, 1),
)
@settings(max_examples=100, deadline=None)
def test_nothing_is_added_and_no_row_is_emptied(
    seed: int, rows: int, inputs: int, rate: float, share: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(rows, inputs, generator=generator) < share
    hidden = hide(present, rate, generator)
    assert hidden.dtype == torch.bool
    assert not (hidden & ~present).any()
    assert torch.equal(hidden.any(1), present.any(1))


def test_each_input_is_hidden_as_often_as_asked() -> None:
    present = torch.ones(20_000, 3, dtype=torch.bool)
    hidden = ~hide(present, 0.3, torch.Generator().manual_seed(0))
    # an input is hidden with .3, less the .3^3 in which all would be and one (each in a third) stays:
    # .291; a share of 20 000 rows has a standard deviation of .0032
    for share in hidden.double().mean(0).tolist():
        assert share == pytest.approx(0.3 - 0.3**3 / 3, abs=0.013)
    # all but one hidden: 3 × .3² × .7 and all of the .3³
    assert (hidden.sum(1) == 2).double().mean().item() == pytest.approx(3 * 0.09 * 0.7 + 0.027, abs=0.013)


def test_inputs_are_hidden_independently_of_each_other() -> None:
    present = torch.ones(20_000, 4, dtype=torch.bool)
    hidden = (~hide(present, 0.2, torch.Generator().manual_seed(0))).double()
    assert (hidden[:, 0] * hidden[:, 1]).mean().item() == pytest.approx(0.04, abs=0.006)  # 4 deviations


def test_a_rate_of_zero_hides_nothing() -> None:
    present = torch.rand(50, 3) < 0.5
    assert torch.equal(hide(present, 0.0, torch.Generator()), present)


def test_the_same_generator_hides_the_same() -> None:
    present = torch.ones(50, 3, dtype=torch.bool)
    one, two = (hide(present, 0.5, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rate": 0.4, "start": 0.0, "ramp": 0.5}, [0.0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4]),
        ({"rate": 0.4, "start": 0.2, "ramp": 0.25}, [0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]),
        ({"rate": 0.1, "start": 0.5, "ramp": 0.5}, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1]),  # falling
        ({"rate": 0.3, "start": 0.0, "ramp": 0.0}, [0.3] * 8),
        ({"rate": 0.8, "start": 0.0, "ramp": 1.0}, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
    ],
)
def test_the_rate_ramps_and_stays(options: dict[str, float], expected: list[float]) -> None:
    config = ModalityDropout(**options)
    assert [rate_at(config, epoch, 8) for epoch in range(8)] == pytest.approx(expected)
