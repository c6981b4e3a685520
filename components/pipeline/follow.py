"""Runs a step that reports what it does."""

from collections.abc import Callable, Generator
from typing import TypeVar

Yielded = TypeVar("Yielded")
Returned = TypeVar("Returned")


def follow(steps: Generator[Yielded, None, Returned], each: Callable[[Yielded], None]) -> Returned:
    """Run a generator to its end, telling ``each`` of what it yields; give what it returns."""
    while True:
        try:
            item = next(steps)
        except StopIteration as end:
            return end.value
        each(item)
