"""The steps of a run and their tasks agree: the one stands in for the other without a check of types."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from components.pipeline.plain import PlainSteps
from flows.run.steps import TASKS

RUNNERS = {"wait", "attempt", "follow", "train_input", "with_learner"}  # run steps, or are parts of one
STEPS = {name for name in vars(PlainSteps) if not name.startswith("_")} - RUNNERS


def places(function: Callable[..., Any]) -> list[bool]:
    """Tell for each parameter, except the first, if it has to be given."""
    _, *parameters = inspect.signature(function).parameters.values()
    return [parameter.default is parameter.empty for parameter in parameters]


def test_every_step_has_a_task() -> None:
    assert set(TASKS) == STEPS


@pytest.mark.parametrize("step", sorted(STEPS))
def test_a_task_takes_what_its_step_takes(step: str) -> None:
    taken, given = places(TASKS[step].fn), places(getattr(PlainSteps, step))
    assert len(taken) == len(given)
    assert all(needed or not required for required, needed in zip(taken, given, strict=True))
