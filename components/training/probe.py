"""Linear probe: the head, and the baseline, of an encoder that is taken as it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.models.linear import fit_linear
from components.targets import Head, Targets


def fit_probe(
    targets: Targets,
    train: np.ndarray,
    train_values: Mapping[str, Tensor],
    val: np.ndarray,
    val_values: Mapping[str, Tensor],
    row_weights: np.ndarray | None = None,
    choice: Mapping[str, Sequence[Any]] | None = None,
) -> tuple[Head, dict[str, list[Any]]]:
    """Fit regularised linear models on embeddings, their strength chosen on validation.

    Embeddings are standardised with training statistics, which are then folded into the weights.

    Args:
        targets: What is predicted.
        train: (N, D) float32 embeddings.
        train_values: By target, for N rows.
        val: (K, D) float32 embeddings.
        val_values: By target, for K rows.
        row_weights: (N,) weights of the rows, with mean 1; None weighs all alike.
        choice: Choice of another fit to take over; None chooses on validation.

    Returns:
        Head from embeddings as they are to natural parameters, and what was chosen.
    """
    mean, std = train.mean(0), train.std(0) + 1e-6
    linear = fit_linear(
        targets,
        (train - mean) / std,
        train_values,
        (val - mean) / std,
        val_values,
        row_weights=row_weights,
        choice=choice,
    )
    weight = linear.weight / std
    head = Head(len(mean), targets)
    head.load_state_dict(
        {
            "weight": torch.from_numpy(weight).float(),
            "bias": torch.from_numpy(linear.bias - weight @ mean).float(),
        }
    )
    return head, linear.choice
