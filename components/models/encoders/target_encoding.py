"""Categories of large columns as the mean of the targets in them, out of fold in training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from components.targets import Multilabel, Regression, Targets, known_rows

HIGH = 32  # codes of a column beyond which it is encoded so
_FOLDS = 5
_PRIOR_ROWS = 10.0  # rows that the mean of all rows counts in the mean of a category


class TargetEncoding(nn.Module):
    """Target encoding (Micci-Barreca 2001) of category columns with many codes.

    A category is the mean of each target among its training rows: of a number, or the share of each class or
    label. Means are pulled towards that of all rows, more so where rows are few. A training row gets the
    means of the other folds, so that it does not see its own target; else a column that names the row would
    be the target. A code that training does not have gets the mean of all rows.

    Args:
        cardinalities: Number of codes of each category column.

    Attributes:
        columns: Positions of the columns that are encoded.
    """

    means: Tensor  # (sum of the codes of the columns, E)

    def __init__(self, cardinalities: Sequence[int]) -> None:
        super().__init__()
        self.columns = [column for column, codes in enumerate(cardinalities) if codes > HIGH]
        self.sizes = np.array([cardinalities[column] for column in self.columns], np.int64)
        self.register_buffer("means", torch.zeros(int(self.sizes.sum()), 0, dtype=torch.float64))

    @property
    def width(self) -> int:
        """Length of an encoding."""
        return len(self.columns) * self.means.shape[1]

    def learn(
        self, codes: np.ndarray, targets: Targets, values: Mapping[str, Tensor], seed: int
    ) -> np.ndarray:
        """Learn the means, and give those for the training rows out of fold.

        Args:
            codes: (N, c) codes of all category columns.
            targets: What is predicted.
            values: By target, for N rows.
            seed: Seed of the folds.

        Returns:
            (N, columns * E).
        """
        statistics, known = _statistics(targets, values)  # (N, E) each
        places = self._places(codes)
        fold = np.random.default_rng(seed).permutation(len(codes)) % _FOLDS
        sums, counts = self._sums(places, statistics, known)
        self.means = torch.from_numpy(_shrunk(sums, counts, statistics, known))
        result = np.zeros((len(codes), len(self.columns), statistics.shape[1]))
        for number in range(_FOLDS):
            inside = fold == number
            own = self._sums(places[inside], statistics[inside], known[inside])
            means = _shrunk(sums - own[0], counts - own[1], statistics[~inside], known[~inside])
            result[inside] = means[places[inside]]
        return result.reshape(len(codes), -1)

    def forward(self, codes: np.ndarray) -> np.ndarray:
        """Codes (B, c) of all category columns to (B, columns * E)."""
        means = self.means.cpu().numpy()
        return np.asarray(means[self._places(codes)].reshape(len(codes), self.width))

    def _places(self, codes: np.ndarray) -> np.ndarray:
        """Rows (B, columns) of the means."""
        starts = np.cumsum([0, *self.sizes[:-1]], dtype=np.int64)[: len(self.sizes)]
        return np.asarray(np.clip(codes[:, self.columns], 0, self.sizes - 1) + starts)

    def _sums(
        self, places: np.ndarray, statistics: np.ndarray, known: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        shape = (int(self.sizes.sum()), statistics.shape[1])
        sums, counts = np.zeros(shape), np.zeros(shape)
        for column in range(len(self.columns)):
            np.add.at(sums, places[:, column], statistics * known)
            np.add.at(counts, places[:, column], known)
        return sums, counts

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        self.means = torch.empty_like(state_dict[prefix + "means"])
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _shrunk(sums: np.ndarray, counts: np.ndarray, statistics: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Means by category, pulled towards those of all rows."""
    prior = (statistics * known).sum(0) / np.maximum(known.sum(0), 1)
    return np.asarray((sums + _PRIOR_ROWS * prior) / (counts + _PRIOR_ROWS))


def _statistics(targets: Targets, values: Mapping[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers whose means are taken, and 1 where a row has their target, (N, E) each."""
    parts, known = [], []
    for target in targets:
        truth, has = values[target.name], known_rows(values[target.name]).numpy()
        match target:
            case Regression():
                part = target.standardised(truth.double()).numpy()[:, None]
            case Multilabel():
                part = truth.double().numpy()
            case _:
                part = np.eye(target.width)[np.where(has, truth.numpy(), 0)]
        parts.append(np.where(has[:, None], part, 0.0))
        known.append(np.repeat(has[:, None].astype(np.float64), part.shape[1], 1))
    return np.concatenate(parts, 1), np.concatenate(known, 1)
