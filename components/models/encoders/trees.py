"""Gradient-boosted trees on the columns of a table."""

import numpy as np
import torch
from torch import Tensor

from components.models.boosting import Boosting, Forest, Table
from components.models.encoders.fitted import Choice, FitRows, FitTask, FittedEncoder
from components.models.encoders.table import numbers_and_codes

_LEAVES = (7, 31)  # shallow trees, which small tables need, and deep ones


class Trees(FittedEncoder):
    """LightGBM (Ke et al. 2017): categories stay categories, and a missing number is missing.

    Reduced features are the numbers that the trees gain most by, as they are, and where training rows lack
    one a flag beside it. A fusion may split on them again.

    Args:
        numeric: Number n of numeric columns.
        categories: Number c of category columns.
        rounds: Most rounds.
        learning_rate: Shrinkage of each round.
        columns: Most numbers among the reduced features.
    """

    numbers: Tensor  # (F,) int64: positions among the values (B, 2n + c)

    def __init__(
        self, numeric: int, categories: int, rounds: int, learning_rate: float, columns: int
    ) -> None:
        super().__init__()
        self.numeric, self.categories = numeric, categories
        self.rounds, self.learning_rate, self.most = rounds, learning_rate, columns
        self.forest = Forest(0)

    @property
    def quantities(self) -> tuple[int, ...]:
        return tuple(range(len(self.forest.base), self.width))

    def learn(self, task: FitTask) -> Choice:
        """Fit the trees of each target."""
        options = Boosting(
            self.rounds,
            self.learning_rate,
            _LEAVES,
            task.seed,
            range(self.numeric, self.numeric + self.categories),
            task.balanced,
        )
        train, val = self._table(task.train), self._table(task.val)
        choice = self.forest.learn(task.targets, train, val, options, task.row_weights, task.choice)
        self.keep(numbers=self._best(train.rows) if task.choice is None else _taken(task.choice))
        return {**choice, "numbers": self.numbers.tolist()}

    def describe(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Values float (B, 2n + c) to outputs (B, K) and numbers with their flags (B, F)."""
        return self.forest(self._rows(batch["values"])), batch["values"][:, self.numbers].float()

    def _best(self, rows: np.ndarray) -> Tensor:
        gains = self.forest.gains[: self.numeric]
        best = sorted(np.argsort(-gains, kind="stable")[: min(self.most, int((gains > 0).sum()))].tolist())
        missing = [column for column in best if np.isnan(rows[:, column]).any()]
        return torch.tensor([*best, *(self.numeric + column for column in missing)], dtype=torch.int64)

    def _table(self, rows: FitRows) -> Table:
        parts = [self._rows(batch["values"]) for batch in rows.batches()]
        width = self.numeric + self.categories
        return Table(np.concatenate(parts) if parts else np.zeros((0, width)), rows.values)

    def _rows(self, values: Tensor) -> np.ndarray:
        """Numbers and codes (B, n + c), NaN where a number is missing; code 0 is no category."""
        numbers, codes = numbers_and_codes(values.cpu().numpy(), self.numeric)
        return np.concatenate([numbers, np.where(codes > 0, codes, np.nan)], 1).astype(np.float64)


def _taken(choice: Choice) -> Tensor:
    return torch.tensor(choice["numbers"], dtype=torch.int64)
