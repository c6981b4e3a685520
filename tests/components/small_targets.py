"""Targets that tests make up."""

from __future__ import annotations

from collections.abc import Sequence

from components.targets import Classification, Targets

NAME = "label"


def classes(names: int | Sequence[str], metric: str = "accuracy") -> Classification:
    """Classes by their names, or so many of them: ``class 0``, ``class 1``, ..."""
    words = [f"class {number}" for number in range(names)] if isinstance(names, int) else names
    return Classification(NAME, metric, tuple(words))


def alone(names: int | Sequence[str], metric: str = "accuracy") -> Targets:
    """Classes as the only target."""
    return Targets((classes(names, metric),))
