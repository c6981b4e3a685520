"""Slots of a device: one holder each, freed by whatever ends it; who waits learns for whom."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from components.errors import BraidError
from components.runtime.slots import slot
from tests.forks import begun


def hold_until_killed(folder: Path) -> None:
    with slot(folder, "gpu", 1, "fit picture of birds-1", print):
        (folder / "held").touch()
        time.sleep(600)


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_holder_leaves_its_slot_to_the_one_who_waits(tmp_path: Path) -> None:
    holder = begun(hold_until_killed, tmp_path)
    wait_for(tmp_path / "held")
    messages: list[str] = []

    def tell(message: str) -> None:
        messages.append(message)
        os.kill(holder.pid or 0, signal.SIGKILL)

    with slot(tmp_path, "gpu", 1, "fit sound of birds-2", tell, longest=30):
        holder.join()
    (message,) = messages
    assert f"held by fit picture of birds-1 (process {holder.pid}, since " in message


def test_a_wait_past_its_bound_ends_with_who_holds_and_what_to_do(tmp_path: Path) -> None:
    with (
        slot(tmp_path, "gpu", 1, "fit picture of birds-1", print),
        pytest.raises(BraidError, match=r"fit picture of birds-1.*raise gpu_slots"),
        slot(tmp_path, "gpu", 1, "fit sound of birds-2", lambda message: None, longest=0.5),
    ):
        raise AssertionError("two hold one slot")


def test_as_many_hold_slots_as_there_are(tmp_path: Path) -> None:
    with (
        slot(tmp_path, "gpu", 2, "one", print),
        slot(tmp_path, "gpu", 2, "two", print),
        pytest.raises(BraidError, match=r"held by one \(.*two \("),
        slot(tmp_path, "gpu", 2, "three", lambda message: None, longest=0),
    ):
        raise AssertionError("three hold two slots")
    with slot(tmp_path, "gpu", 1, "four", print):
        pass
