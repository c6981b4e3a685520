"""Greedy selection of members whose average predicts, with replacement (Caruana et al. 2004)."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Name = TypeVar("Name")

_MOST_MEMBERS = 12


def select(names: Iterable[Name], loss: Callable[[Sequence[Name]], float]) -> list[Name]:
    """Add the member that lowers the loss most, until none does; a name that counts twice stands twice.

    Args:
        names: What can be selected.
        loss: Loss of the average of some members.
    """
    names = list(names)
    members: list[Name] = []
    lowest = float("inf")
    while len(members) < _MOST_MEMBERS:
        losses = [loss([*members, name]) for name in names]
        best = min(range(len(names)), key=losses.__getitem__)
        if members and losses[best] >= lowest:
            break
        lowest = losses[best]
        members.append(names[best])
    return members
