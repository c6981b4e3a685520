"""Gradient-boosted trees on the columns of a table."""

import numpy as np
import torch
from torch import Tensor

from components.models.boosting import Boosting, Forest, Table
from components.models.encoders.fitted import Choice, FitTask, FittedEncoder
from components.models.encoders.table import all_values, numbers_and_codes
from components.models.encoders.target_encoding import TargetEncoding

_LEAVES = (7, 31)  # shallow trees, which small tables need, and deep ones


class Trees(FittedEncoder):
    """LightGBM (Ke et al. 2017): categories stay categories, and a missing number is missing.

    Columns of many categories are encoded by their targets, out of fold. Reduced features are the numbers
    that the trees gain most by, as they are, and these encodings; a fusion may split on them again. A number
    that training rows lack has a flag beside it.

    Args:
        numeric: Number n of numeric columns.
        cardinalities: Number of codes of each category column, code 0 included.
        rounds: Most rounds.
        learning_rate: Shrinkage of each round.
        columns: Most numbers among the reduced features.
    """

    numbers: Tensor  # (F,) int64: positions among the values (B, 2n + c)

    def __init__(
        self, numeric: int, cardinalities: list[int], rounds: int, learning_rate: float, columns: int
    ) -> None:
        super().__init__()
        self.numeric = numeric
        self.rounds, self.learning_rate, self.most = rounds, learning_rate, columns
        self.encoding = TargetEncoding(cardinalities)
        self.plain = [column for column in range(len(cardinalities)) if column not in self.encoding.columns]
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
            range(self.numeric, self.numeric + len(self.plain)),
            task.balanced,
        )
        values = all_values(task.train)
        _, codes = numbers_and_codes(values, self.numeric)
        encodings = self.encoding.learn(codes, task.targets, task.train.values, task.seed)
        train = Table(self._rows(values, encodings), task.train.values)
        held_out = all_values(task.val, values.shape[1])
        val = Table(self._rows(held_out, self._encodings(held_out)), task.val.values)
        choice = self.forest.learn(task.targets, train, val, options, task.row_weights, task.choice)
        numbers = self._best(train.rows) if task.choice is None else task.choice["numbers"]
        self.keep(numbers=torch.tensor(numbers, dtype=torch.int64))
        return {**choice, "numbers": list(numbers)}

    def describe(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Values float (B, 2n + c) to outputs (B, K) and numbers, flags and encodings (B, F)."""
        values = batch["values"].cpu().numpy()
        encodings = self._encodings(values)
        features = torch.from_numpy(encodings).float().to(batch["values"].device)
        numbers = batch["values"][:, self.numbers].float()
        return self.forest(self._rows(values, encodings)), torch.cat([numbers, features], 1)

    def _best(self, rows: np.ndarray) -> list[int]:
        """Positions of the numbers to pass on, and of their flags."""
        gains = self.forest.gains[: self.numeric]
        best = sorted(np.argsort(-gains, kind="stable")[: min(self.most, int((gains > 0).sum()))].tolist())
        missing = [column for column in best if np.isnan(rows[:, column]).any()]
        return [*best, *(self.numeric + column for column in missing)]

    def _encodings(self, values: np.ndarray) -> np.ndarray:
        encodings: np.ndarray = self.encoding(numbers_and_codes(values, self.numeric)[1])
        return encodings

    def _rows(self, values: np.ndarray, encodings: np.ndarray) -> np.ndarray:
        """Numbers, codes and encodings; NaN where a number or a category is missing."""
        numbers, codes = numbers_and_codes(values, self.numeric)
        plain = codes[:, self.plain]
        return np.concatenate([numbers, np.where(plain > 0, plain, np.nan), encodings], 1).astype(np.float64)
