"""Ridge or logistic regression on the columns of a table."""

from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from torch import Tensor

from components.models.encoders.fitted import Choice, FitRows, FitTask, FittedEncoder
from components.models.encoders.table import Design
from components.models.linear import fit_linear

_SAMPLE = 20_000  # rows that span the reduced features


class Linear(FittedEncoder):
    """Linear model on numbers, their linear splines, missing flags and one-hot categories.

    Its strength is chosen on validation. Reduced features are the leading singular vectors of the design
    matrix of the training rows.

    Args:
        numeric: Number n of numeric columns.
        cardinalities: Number of codes of each category column, code 0 included.
        components: Most reduced features.
    """

    weight: Tensor  # (D, K + F)
    bias: Tensor  # (K,)

    def __init__(self, numeric: int, cardinalities: list[int], components: int) -> None:
        super().__init__()
        self.design = Design(numeric, cardinalities)
        self.components = components

    def learn(self, task: FitTask) -> Choice:
        """Fit the model of each target."""
        values = np.concatenate([batch["values"].numpy() for batch in task.train.batches()])
        self.design.fit(values)
        train = self.design.matrix(values)
        linear = fit_linear(
            task.targets,
            train,
            task.train.values,
            self._matrix(task.val, train.shape[1]),
            task.val.values,
            balanced=task.balanced,
            row_weights=task.row_weights,
            strengths=None if task.choice is None else task.choice["strengths"],
        )
        weight = np.concatenate([linear.weight, self._space(train, task.seed)]).T
        self.keep(
            weight=torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32)),
            bias=torch.from_numpy(linear.bias).float(),
        )
        return {"strengths": list(linear.strengths)}

    def describe(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Values float (B, 2n + c) to outputs (B, K) and reduced features (B, F)."""
        matrix = self.design.matrix(batch["values"].cpu().numpy())
        rows = torch.from_numpy(matrix @ self.weight.cpu().numpy()).float().to(self.bias.device)
        outputs = len(self.bias)
        return rows[:, :outputs] + self.bias, rows[:, outputs:]

    def _matrix(self, rows: FitRows, width: int) -> sparse.csr_array:
        parts: list[Any] = [self.design.matrix(batch["values"].numpy()) for batch in rows.batches()]
        return sparse.csr_array(sparse.vstack(parts or [sparse.csr_array((0, width))], format="csr"))

    def _space(self, train: sparse.csr_array, seed: int) -> np.ndarray:
        """Directions (F, D) of the reduced features."""
        rows = np.random.default_rng(seed).permutation(train.shape[0])[:_SAMPLE]
        size = min(self.components, len(rows) - 1, train.shape[1] - 1)
        if size < 1:
            return np.zeros((0, train.shape[1]))
        return np.asarray(TruncatedSVD(size, random_state=seed % 2**32).fit(train[np.sort(rows)]).components_)
