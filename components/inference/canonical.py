"""Rows of a table as the preprocessors of a model made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CanonicalInput:
    """One input of N rows.

    Attributes:
        arrays: Canonical array by position of the row, for rows that have the input.
        errors: Reason by position, for rows whose input cannot be used.
    """

    arrays: Mapping[int, np.ndarray]
    errors: Mapping[int, str]


@dataclass(frozen=True)
class CanonicalRows:
    """N rows.

    Attributes:
        count: N.
        inputs: Every input of the model, by name.
    """

    count: int
    inputs: Mapping[str, CanonicalInput]

    @property
    def errors(self) -> list[str | None]:
        """Names of the inputs of each row that cannot be used, with the reasons; None for a good row."""
        by_row: list[list[str]] = [[] for _ in range(self.count)]
        for name, each in self.inputs.items():
            for position, reason in each.errors.items():
                by_row[position].append(f"{name}: {reason}")
        return ["; ".join(reasons) or None for reasons in by_row]

    def take(self, positions: Sequence[int]) -> CanonicalRows:
        """Keep the rows at these positions, in their order."""
        moved = {old: new for new, old in enumerate(positions)}
        return CanonicalRows(
            len(positions),
            {
                name: CanonicalInput(
                    {moved[old]: array for old, array in each.arrays.items() if old in moved},
                    {moved[old]: reason for old, reason in each.errors.items() if old in moved},
                )
                for name, each in self.inputs.items()
            },
        )
