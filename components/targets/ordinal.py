"""Target with one of several ordered classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from components.metrics.ordinal import METRICS, WeightedOrdinal
from components.targets.classification import Classification
from components.targets.target import FloatArray, Scorer


@dataclass(frozen=True)
class Ordinal(Classification):
    """Target with classes of an ordered scale, the lowest first.

    The loss is cross-entropy plus the squared earth mover's distance between the predicted and the true
    distribution (Hou, Yu & Samaras 2017, https://arxiv.org/abs/1611.05916). So an error costs more the
    further it is. The head, and all that follows it, is that of a classification.
    """

    task: Literal["ordinal"] = "ordinal"  # type: ignore[assignment]  # another literal
    metrics: ClassVar[tuple[str, ...]] = METRICS

    def losses(
        self, natural: Tensor, values: Tensor, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Compute cross-entropy + sum over the C - 1 steps of (predicted CDF - true CDF)^2, (B,)."""
        steps = natural.softmax(1).cumsum(1)[:, :-1]  # (B, C - 1)
        truth = (values.unsqueeze(1) <= values.new_tensor(range(self.width - 1))).to(steps.dtype)
        distance = (steps - truth).square().sum(1)
        if weights is not None:
            distance = distance * weights[values]
        return super().losses(natural, values, smoothing, weights) + distance

    def scorer(self, values: np.ndarray, predictions: FloatArray, names: Sequence[str]) -> Scorer:
        return WeightedOrdinal(values, predictions, names)
