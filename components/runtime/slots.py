"""Slots of a device on this machine: file locks, which the kernel takes back from a holder that ends."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from components.errors import BraidError
from components.storage.atomic import write_json

SLOTS = "BRAID_GPU_SLOTS"
"""Environment variable: most steps that use the GPU at a time, of all runs of a workspace on this machine."""
_LONGEST = 12 * 3600.0  # seconds, half of what a step has
_LOOK = 0.2
_TELL = 60.0  # seconds between two messages


@dataclass(frozen=True)
class Holder:
    """Holder of a slot.

    Attributes:
        purpose: Step and run.
        process: Id of the process.
        since: Seconds since the epoch.
    """

    purpose: str
    process: int
    since: float

    def __str__(self) -> str:
        since = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"{self.purpose} (process {self.process}, since {since})"


@contextmanager
def slot(
    folder: Path,
    name: str,
    number: int,
    purpose: str,
    tell: Callable[[str], object],
    longest: float = _LONGEST,
) -> Iterator[None]:
    """Hold one of the slots of a device for the block, and wait until one is free.

    Args:
        folder: Folder of the locks, common to all that share the device.
        name: Name of the device.
        number: Slots that it has on this machine.
        purpose: What the slot is held for; those who wait are told it.
        tell: Called as the wait begins and every minute with who is waited for, and for how long.
        longest: Seconds to wait.

    Raises:
        BraidError: If no slot becomes free within ``longest``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slots = [folder / f"{name}-{socket.gethostname()}-{index}" for index in range(number)]
    began = time.monotonic()
    next_message = 0.0
    while (taken := _take(slots)) is None:
        waited = time.monotonic() - began
        if waited >= longest:
            raise BraidError(
                f"no slot of the {name} became free in {waited:.0f} s: held by {_holders(slots)}. End what "
                "holds it, or raise gpu_slots in the operations file"
            )
        if waited >= next_message:
            tell(f"Waiting for a slot of the {name} for {waited:.0f} s: held by {_holders(slots)}")
            next_message = waited + _TELL
        time.sleep(_LOOK)
    record, lock = taken
    try:
        write_json(record, asdict(Holder(purpose, os.getpid(), time.time())))
        yield
    finally:
        lock.release()


def _take(slots: list[Path]) -> tuple[Path, FileLock] | None:
    for slot in slots:
        lock = FileLock(slot.with_name(f"{slot.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        return slot.with_name(f"{slot.name}.json"), lock
    return None


def _holders(slots: list[Path]) -> str:
    holders = []
    for slot in slots:
        try:
            holders.append(str(Holder(**json.loads(slot.with_name(f"{slot.name}.json").read_text("utf-8")))))
        except (OSError, ValueError, TypeError):  # it has just begun
            holders.append("a step that has just begun")
    return ", ".join(holders)
