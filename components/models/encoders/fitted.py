"""Encoder that a library fits without gradient: linear models, boosted trees, neighbours."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.models.encoders.protocol import Encoder
from components.targets import Head, Targets

Choice = dict[str, Any]
"""Hyper-parameters that validation rows chose, JSON-serialisable."""


@dataclass(frozen=True)
class FitRows:
    """Rows of one input that a fit is given.

    Attributes:
        batches: Gives all rows in order, as batches that the encoder takes, each time it is called.
        values: (N,) or (N, L) by target, -1 or NaN where a row does not have it.
    """

    batches: Callable[[], Iterable[dict[str, Tensor]]]
    values: Mapping[str, Tensor]


@dataclass(frozen=True)
class FitTask:
    """Task of a fit without gradient.

    Attributes:
        targets: What is predicted.
        train: Rows to learn from.
        val: Rows by which hyper-parameters are chosen and outputs are brought to scale; none for a fit to all
            rows, which takes both from ``choice``.
        balanced: Weigh rows by the inverse frequency of their class.
        seed: Seed of every random draw.
        choice: Hyper-parameters of the fit to all training rows, for a fit without a fold or with validation
            rows; None chooses them.
        row_weights: (N,) weights of the training rows, with mean 1; None weighs all alike.
    """

    targets: Targets
    train: FitRows
    val: FitRows
    balanced: bool
    seed: int
    choice: Choice | None = None
    row_weights: np.ndarray | None = None


class FittedEncoder(Encoder):
    """Embedding of what a model predicts, beside reduced features of the row.

    The first K numbers of an embedding are the outputs of the model, standardised on validation rows; the
    head that undoes this gives its predictions. All state is tensors whose shapes the fit decides, so a fresh
    encoder takes those of any state. It has no parameters and cannot be trained further.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__(0)

    @abstractmethod
    def learn(self, task: FitTask) -> Choice:
        """Fit the model, keep its state by :meth:`keep`, and give the hyper-parameters that were chosen."""

    @abstractmethod
    def describe(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Give outputs of a head (B, K) and reduced features (B, F) of a batch."""

    def fit_rows(self, task: FitTask) -> tuple[Head, Choice]:
        """Fit the encoder.

        Args:
            task: Rows, targets and options.

        Returns:
            Head from embeddings to natural parameters, and the chosen hyper-parameters.
        """
        choice = self.learn(task)
        held_out = list(task.val.batches()) or list(task.train.batches())
        vectors = torch.cat([torch.cat(self.describe(batch), 1) for batch in held_out])  # (V, K + F)
        std = vectors.double().std(0, correction=0).float()
        self.keep(shift=vectors.double().mean(0).float(), scale=torch.where(std > 1e-4, std, 1.0))
        self.width = len(self.shift)
        outputs = task.targets.width
        head = Head(self.width, task.targets)
        weight = torch.zeros(outputs, self.width)
        weight[:, :outputs] = self.scale[:outputs].diag()
        head.load_state_dict({"weight": weight, "bias": self.shift[:outputs]})
        return head, choice

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Embed a batch, (B, K + F)."""
        vectors = torch.cat(self.describe(batch), dim=1)
        return (vectors - self.shift) / self.scale

    def keep(self, **tensors: Tensor) -> None:
        """Make tensors part of the state."""
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def ready(self) -> None:
        """Prepare what follows from the state; called once it is read."""

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        names = [key.removeprefix(prefix) for key in state_dict if key.startswith(prefix)]
        self.keep(**{name: torch.empty_like(state_dict[prefix + name]) for name in names if "." not in name})
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self.width = len(self.shift)
        self.ready()
