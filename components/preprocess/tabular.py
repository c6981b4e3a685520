"""Cells of a table to scaled numbers, missing flags and category codes."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch

from components.data.spelling import Spelling
from components.preprocess.columns import COLUMNS, Column, ColumnState, guess_type
from components.preprocess.protocol import Samples, cells


class TabularPreprocessor:
    """Columns by type; everything is learned from training rows alone.

    Args:
        columns: Names, in order.
        types: Type of a column where it is not to be guessed: numeric, categorical, boolean, datetime.
        max_categories: Most frequent categories kept in a column.
        learned: What :meth:`fit` learned of each column; None before.
    """

    modality = "tabular"

    def __init__(
        self,
        columns: Sequence[str],
        types: Mapping[str, str],
        max_categories: int,
        learned: Mapping[str, ColumnState] | None = None,
    ) -> None:
        self.columns = list(columns)
        self.types = dict(types)
        self.max_categories = max_categories
        self._learned: dict[str, Column] | None = None
        if learned is not None:
            self._learned = {
                name: COLUMNS[state["type"]].from_state(state) for name, state in learned.items()
            }

    @property
    def numeric(self) -> int:
        """Numbers in a row: n of ``values`` (B, 2n + c)."""
        return sum(column.numbers for column in self._fitted().values())

    @property
    def cardinalities(self) -> list[int]:
        """Codes of each categorical column, with those of missing and of unseen values: c entries."""
        return [column.codes for column in self._fitted().values() if column.codes]

    @property
    def spellings(self) -> dict[str, Spelling]:
        """Rule of each column of words: categories and truths."""
        rules = {name: column.spelling for name, column in self._fitted().items()}
        return {name: rule for name, rule in rules.items() if rule is not None}

    def fit(self, samples: Samples) -> None:
        """Guess types, and learn medians, scales, formats and categories from ``NAME.<column>``."""
        self._learned = {}
        for name in self.columns:
            values = cells(samples, name)
            kind = self.types.get(name) or guess_type(name, values)
            self._learned[name] = COLUMNS[kind].fit(values, self.max_categories)

    def state(self) -> dict[str, Any]:
        learned = None
        if self._learned is not None:
            learned = {name: column.state() for name, column in self._learned.items()}
        return {
            "modality": self.modality,
            "columns": self.columns,
            "types": self.types,
            "max_categories": self.max_categories,
            "learned": learned,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(state["columns"], state["types"], state["max_categories"], state["learned"])

    def canonical(self, value: Mapping[str, Any]) -> np.ndarray:
        """float32 (2n + c,): numbers (0 where missing), their missing flags, category codes."""
        numbers: list[float] = []
        codes: list[float] = []
        for name, column in self._fitted().items():
            (codes if column.codes else numbers).extend(column.encode(value.get(name)))
        row = np.array(numbers, dtype=np.float64)
        flags = np.isnan(row)
        return np.concatenate([np.where(flags, 0.0, row), flags, codes]).astype(np.float32)

    def collate(self, rows: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """``values``: float32 (B, 2n + c); ``numeric``: int64 (B,), n in every row."""
        values = torch.from_numpy(np.stack(rows))
        return {"values": values, "numeric": torch.full((len(rows),), self.numeric)}

    def _fitted(self) -> dict[str, Column]:
        if self._learned is None:
            raise RuntimeError("the columns have not been looked at yet: call fit with training rows first")
        return self._learned
