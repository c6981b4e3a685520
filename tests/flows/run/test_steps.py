"""The steps of a run and their tasks agree: the one stands in for the other without a check of types."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.config import TrackingConfig
from components.pipeline.plain import PlainSteps
from components.runtime.deadline import Allowance
from flows.run.steps import TASKS, submitted
from tasks.context import Context
from tests.components.conftest import configure

RUNNERS = {
    "wait",
    "attempt",
    "follow",
    "train_input",
    "refit_learner",
    "with_learner",
    "with_config",
    "within",
    "lanes",
    "began",
}  # run steps, or are parts of one; fmt: skip
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


def test_the_tasks_of_a_run_take_its_time_and_its_pipeline_from_their_context(tmp_path: Path) -> None:
    config = configure()
    run = Context("tiny-1", config, tmp_path, tmp_path, TrackingConfig(), "run", began=7.0)
    steps: Any = submitted(run)
    assert (steps.began, steps.within(None).run) == (7.0, run)
    timed = steps.within(Allowance(5.0)).with_config(config.model_copy(update={"seed": 3}))
    assert timed.run == replace(run, config=config.model_copy(update={"seed": 3}), allowance=Allowance(5.0))


def test_a_list_is_waited_for_like_a_dictionary(tmp_path: Path) -> None:
    run = Context("tiny-1", configure(), tmp_path, tmp_path, TrackingConfig(), "run")
    assert submitted(run).wait([1, {"a": [2]}]) == [1, {"a": [2]}]
