"""Slots of the GPU: who takes one, and who needs none; steps that have a time."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from components.config import TrackingConfig
from components.config.engine import EngineConfig
from components.errors import BraidError
from components.references import LeftOut
from components.runtime.deadline import Allowance
from components.runtime.environ import variables
from components.runtime.slots import SLOTS, slot
from tasks import step
from tasks.context import Context, Run
from tasks.step import gpu_slot
from tests.components.conftest import configure


def one_of(folder: Path) -> Run:
    return Run("birds-1", folder, TrackingConfig(), "run")


def test_a_step_on_a_cpu_waits_for_nobody(tmp_path: Path) -> None:
    with (
        variables({SLOTS: "1"}),
        slot(tmp_path / "slots", "gpu", 1, "fit picture", print),
        gpu_slot(one_of(tmp_path), EngineConfig(device="cpu")),
    ):
        assert len(list((tmp_path / "slots").glob("*.lock"))) == 1


def test_a_step_on_a_gpu_holds_a_slot_where_they_are_numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "choose_device", lambda name: torch.device("cuda"))
    with variables({SLOTS: None}), gpu_slot(one_of(tmp_path)):
        assert not (tmp_path / "slots").exists()
    with (
        variables({SLOTS: "1"}),
        gpu_slot(one_of(tmp_path)),
        pytest.raises(BraidError, match="of birds-1"),
        slot(tmp_path / "slots", "gpu", 1, "fit sound", lambda message: None, longest=0),
    ):
        raise AssertionError("two hold one slot")


def test_a_cluster_divides_its_gpus_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "choose_device", lambda name: torch.device("cuda"))
    with variables({SLOTS: "1"}), gpu_slot(one_of(tmp_path), EngineConfig(name="ray")):
        assert not (tmp_path / "slots").exists()


def test_a_step_that_exceeds_the_time_of_its_run_is_left_out(tmp_path: Path) -> None:
    @step.step(name="measure", task_run_name="measure", tags=["evaluation"])
    def measure(context: Context, seconds: float) -> str:
        time.sleep(seconds)
        return "measured"

    context = Context("tiny-1", configure(), tmp_path, tmp_path, TrackingConfig(), "run")
    assert measure.fn(context, 0.0) == "measured"
    timed = replace(context, allowance=Allowance(time.time() + 0.1))
    started = time.monotonic()
    assert measure.fn(timed, 9.0) == LeftOut("measure", "it was stopped in the middle")
    assert time.monotonic() - started < 5
    assert measure.fn(timed, seconds=0.0) == LeftOut("measure", "there was no time for it")
