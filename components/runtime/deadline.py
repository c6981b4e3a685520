"""Moments by which work has to end, in the process that does it."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType

from components.errors import OutOfTimeError

_AGAIN = 1.0  # seconds until the next interruption, where a library has swallowed one


@dataclass(frozen=True)
class Allowance:
    """Time that a step may take, wherever it runs.

    Attributes:
        ends: Unix time by which it has to end.
        seconds: Most seconds from its begin; None for all until then.
    """

    ends: float
    seconds: float | None = None

    def begin(self) -> "Deadline":
        """Start the clock of a step in this process."""
        left = self.ends - time.time()
        return Deadline(left if self.seconds is None else min(left, self.seconds))


class Deadline:
    """A moment on the monotonic clock of this process.

    Args:
        seconds: Seconds from now.
    """

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds until then, negative afterwards."""
        return self._ends - time.monotonic()

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (time.time() + self.left(),)


def _unpickled(ends: float) -> Deadline:
    return Allowance(ends).begin()


_due: ContextVar[Deadline | None] = ContextVar("due", default=None)


def current() -> Deadline | None:
    """Return the deadline of the work that calls this; None without one."""
    return _due.get()


@contextmanager
def due(allowance: Allowance | None) -> Iterator[None]:
    """Give the block a deadline, which :func:`current` returns and :func:`interruptible` keeps.

    Args:
        allowance: Time of the block, which begins now; None for as long as it takes.
    """
    token = _due.set(None if allowance is None else allowance.begin())
    try:
        yield
    finally:
        _due.reset(token)


@contextmanager
def interruptible() -> Iterator[None]:
    """End the block in the middle at its deadline; what it writes has to be whole or absent at any moment.

    It ends between two operations of Python, so a long call into a library ends first. A block outside the
    main thread is not interrupted.

    Raises:
        OutOfTimeError: If the deadline passes.
    """
    deadline = current()
    if deadline is None:
        yield
        return
    if deadline.left() <= 0:
        raise OutOfTimeError("there was no time for it")
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_over = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not is_over:
            raise OutOfTimeError("it was stopped in the middle")

    handler = signal.signal(signal.SIGALRM, interrupt)
    started = time.monotonic()
    before, every = signal.setitimer(signal.ITIMER_REAL, deadline.left(), _AGAIN)
    try:
        try:
            yield
        finally:
            is_over = True
    finally:
        is_over = True
        left = max(before - (time.monotonic() - started), 1e-3) if before else 0.0  # a timer of somebody else
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, left, every)
