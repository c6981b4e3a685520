"""Ridge or logistic regression on the columns of a table."""

import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from torch import Tensor

from components.models.encoders.fitted import Choice, FitTask, FittedEncoder
from components.models.encoders.table import Design, all_values
from components.models.encoders.target_encoding import TargetEncoding
from components.models.linear import fit_linear

_SAMPLE = 20_000  # rows that span the reduced features


class Linear(FittedEncoder):
    """Linear model on numbers, their linear splines, missing flags and one-hot categories.

    Columns of many categories are encoded by their targets, out of fold. The strength is chosen on
    validation. Reduced features are the leading singular vectors of the design
    matrix of the training rows.

    Args:
        numeric: Number n of numeric columns.
        cardinalities: Number of codes of each category column, code 0 included.
        components: Most reduced features.
    """

    weight: Tensor  # (D, K + F)
    bias: Tensor  # (K,)
    middle: Tensor  # (E,)
    slope: Tensor  # (E,), 0 for a constant encoding

    def __init__(self, numeric: int, cardinalities: list[int], components: int) -> None:
        super().__init__()
        self.numeric = numeric
        self.encoding = TargetEncoding(cardinalities)
        plain = [codes for column, codes in enumerate(cardinalities) if column not in self.encoding.columns]
        self.design = Design(numeric, plain)
        self.components = components

    def learn(self, task: FitTask) -> Choice:
        """Fit the model of each target."""
        values = all_values(task.train)
        plain, codes = self._parts(values)
        self.design.fit(plain)
        encodings = self.encoding.learn(codes, task.targets, task.train.values, task.seed)
        std = encodings.std(0)
        self.keep(
            middle=torch.from_numpy(encodings.mean(0)),
            slope=torch.from_numpy(np.where(std > 1e-6, 1 / np.where(std > 1e-6, std, 1.0), 0.0)),
        )
        train = self._matrix(plain, encodings)
        linear = fit_linear(
            task.targets,
            train,
            task.train.values,
            self._described(all_values(task.val, values.shape[1])),
            task.val.values,
            balanced=task.balanced,
            row_weights=task.row_weights,
            choice=task.choice,
        )
        weight = np.concatenate([linear.weight, self._space(train, task.seed)]).T
        self.keep(
            weight=torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32)),
            bias=torch.from_numpy(linear.bias).float(),
        )
        return linear.choice

    def describe(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Values float (B, 2n + c) to outputs (B, K) and reduced features (B, F)."""
        matrix = self._described(batch["values"].cpu().numpy())
        rows = torch.from_numpy(matrix @ self.weight.cpu().numpy()).float().to(self.bias.device)
        outputs = len(self.bias)
        return rows[:, :outputs] + self.bias, rows[:, outputs:]

    def _parts(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Divide values (B, 2n + c): those without the columns of many categories, and all codes (B, c)."""
        start = 2 * self.numeric
        others = [start + column for column in self.encoding.columns]
        return np.delete(values, others, axis=1), values[:, start:].astype(np.int64)

    def _described(self, values: np.ndarray) -> sparse.csr_array:
        plain, codes = self._parts(values)
        return self._matrix(plain, self.encoding(codes))

    def _matrix(self, plain: np.ndarray, encodings: np.ndarray) -> sparse.csr_array:
        """Design matrix (B, D), with the encodings standardised on training rows behind it."""
        scaled = (encodings - self.middle.cpu().numpy()) * self.slope.cpu().numpy()
        return sparse.csr_array(sparse.hstack([self.design.matrix(plain), scaled], format="csr"))

    def _space(self, train: sparse.csr_array, seed: int) -> np.ndarray:
        """Directions (F, D) of the reduced features."""
        rows = np.random.default_rng(seed).permutation(train.shape[0])[:_SAMPLE]
        size = min(self.components, len(rows) - 1, train.shape[1] - 1)
        if size < 1:
            return np.zeros((0, train.shape[1]))
        return np.asarray(TruncatedSVD(size, random_state=seed % 2**32).fit(train[np.sort(rows)]).components_)
