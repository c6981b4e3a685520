"""Values of a table as models without gradient take them: numbers with gaps, and a design matrix."""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from components.models.encoders.fitted import FitRows

_KNOTS = 8  # parts of a number's range, of equal counts of training rows


def numbers_and_codes(values: np.ndarray, numeric: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide values (B, 2n + c) into numbers (B, n), NaN where missing, and category codes (B, c) int64."""
    numbers = values[:, :numeric].copy()
    numbers[values[:, numeric : 2 * numeric] > 0] = np.nan
    return numbers, values[:, 2 * numeric :].astype(np.int64)


def all_values(rows: FitRows, width: int = 0) -> np.ndarray:
    """Read the values (N, 2n + c) of all rows; (0, width) where there are none."""
    parts = [batch["values"].cpu().numpy() for batch in rows.batches()]
    return np.concatenate(parts) if parts else np.zeros((0, width), np.float32)


class Design(nn.Module):
    """Design matrix of a linear model: numbers, their linear splines, missing flags and one-hot categories.

    A number's range is cut at training quantiles; each part fills from 0 to 1 as the number crosses it
    (piecewise linear encoding, Gorishniy, Rubachev & Babenko 2022, https://arxiv.org/abs/2203.05556,
    section 3.1). So a skewed number needs no log scale, and the ends go on as constants. Columns that are
    constant in training are 0.

    Args:
        numeric: Number n of numeric columns.
        cardinalities: Number of codes of each category column, code 0 included.
    """

    edges: Tensor  # (n, knots + 1)
    mean: Tensor  # (D,)
    scale: Tensor  # (D,), 0 for a constant column

    def __init__(self, numeric: int, cardinalities: list[int]) -> None:
        super().__init__()
        self.numeric, self.cardinalities = numeric, list(cardinalities)
        dense = numeric * (_KNOTS + 2)
        self.register_buffer("edges", torch.zeros(numeric, _KNOTS + 1, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(dense, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(dense, dtype=torch.float64))

    @property
    def splines(self) -> slice:
        """Columns of the splines."""
        return slice(2 * self.numeric, self.numeric * (_KNOTS + 2))

    def fit(self, values: np.ndarray) -> None:
        """Learn quantiles and scales from training values (N, 2n + c)."""
        numbers, _ = numbers_and_codes(values, self.numeric)
        for column, known in enumerate(~np.isnan(numbers).T):
            if known.any():
                quantiles = np.quantile(numbers[known, column], np.linspace(0, 1, _KNOTS + 1))
                self.edges[column] = torch.from_numpy(quantiles)
        dense = self._dense(values)
        std = dense.std(0)
        self.mean.copy_(torch.from_numpy(dense.mean(0)))
        self.scale.copy_(torch.from_numpy(np.where(std > 1e-6, 1 / np.where(std > 1e-6, std, 1), 0.0)))

    def matrix(self, values: np.ndarray) -> sparse.csr_array:
        """Rows (B, D) of values (B, 2n + c)."""
        _, codes = numbers_and_codes(values, self.numeric)
        dense = (self._dense(values) - self.mean.numpy()) * self.scale.numpy()
        sizes = np.array(self.cardinalities, np.int64)
        places = np.clip(codes, 0, sizes - 1) + np.cumsum([0, *sizes[:-1]], dtype=np.int64)[: len(sizes)]
        ends = np.arange(len(values) + 1) * len(sizes)
        hot = sparse.csr_array((np.ones(places.size), places.ravel(), ends), (len(values), int(sizes.sum())))
        return sparse.csr_array(sparse.hstack([dense, hot], format="csr"))

    def _dense(self, values: np.ndarray) -> np.ndarray:
        """Numbers (0 where missing), flags and splines, (B, n (knots + 2)) float64."""
        numbers, flags = values[:, : self.numeric], values[:, self.numeric : 2 * self.numeric]
        edges = self.edges.numpy()
        low, width = edges[:, :-1], np.diff(edges)
        parts = (numbers[:, :, None] - low) / np.where(width > 0, width, 1)  # (B, n, knots)
        parts = np.where((width > 0) & (flags[:, :, None] == 0), np.clip(parts, 0, 1), 0.0)
        return np.concatenate(
            [numbers, flags, parts.reshape(len(values), parts.shape[1] * parts.shape[2])], 1
        ).astype(np.float64)
