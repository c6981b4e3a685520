"""The parameter budget: the width found is the nearest one, and a multiple of the heads."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from components.config.fusion import FusionConfig
from components.config.sweep import ONE_PASS, SWEPT
from components.models.fusion import build_fusion
from components.models.networks import Fused
from components.sweep.budget import count_parameters, width_for
from components.targets import Classification, Targets

WIDTHS = {"picture": 16, "sound": 24}
TARGETS = Targets((Classification(name="label", metric="accuracy", classes=("a", "b", "c")),))
SIZED = [name for name in SWEPT if name not in ONE_PASS]


def section(name: str, **options: Any) -> Any:
    return TypeAdapter(FusionConfig).validate_python({"name": name, **options})


@pytest.mark.parametrize("name", SIZED)
def test_parameters_are_counted_as_they_are_trained(name: str) -> None:
    network = Fused(build_fusion(section(name), WIDTHS, TARGETS), TARGETS)
    real = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    assert count_parameters(section(name), WIDTHS, TARGETS) == real


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("budget", [1, 5_000, 60_000])
def test_no_neighbouring_width_comes_nearer_to_the_budget(name: str, budget: int) -> None:
    config = section(name)
    step = getattr(config, "heads", 1)
    width = width_for(budget, config, WIDTHS, TARGETS)
    assert width is not None
    assert width % step == 0

    def distance(of: int) -> int:
        return abs(count_parameters(config.model_copy(update={"width": of}), WIDTHS, TARGETS) - budget)

    for other in (width - step, width + step):
        assert other < 1 or distance(width) <= distance(other)


def test_a_fusion_without_a_width_is_left_as_it_is() -> None:
    assert width_for(1000, section("late"), WIDTHS, TARGETS) is None


def test_a_width_without_effect_ends_the_search() -> None:
    assert width_for(10**9, section("concat", layers=0), WIDTHS, TARGETS) is not None
