"""Targets that tests make up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from components.targets import AnyTarget, Classification, Multilabel, Ordinal, Regression, Targets

NAME = "label"


def classes(names: int | Sequence[str], metric: str = "accuracy") -> Classification:
    """Classes by their names, or so many of them: ``class 0``, ``class 1``, ..."""
    words = [f"class {number}" for number in range(names)] if isinstance(names, int) else names
    return Classification(NAME, metric, tuple(words))


def alone(names: int | Sequence[str], metric: str = "accuracy") -> Targets:
    """Classes as the only target."""
    return Targets((classes(names, metric),))


def ordered(count: int = 4, metric: str = "quadratic_kappa", name: str = "grade") -> Ordinal:
    """So many grades, ``1`` the lowest."""
    return Ordinal(name, metric, tuple(str(number + 1) for number in range(count)))


def labels(names: str = "abc", metric: str = "f1_macro", name: str = "tags") -> Multilabel:
    """A label for each letter."""
    return Multilabel(name, metric, tuple(names), "|", "none")


def number(
    mean: float = 10.0,
    std: float = 4.0,
    loss: Literal["gaussian", "huber", "absolute"] = "gaussian",
    metric: str = "r2",
    name: str = "price",
) -> Regression:
    """A number of that mean and standard deviation in the training rows."""
    return Regression(name, metric, mean, std, loss)


KINDS: dict[str, AnyTarget] = {
    "classification": classes(3),
    "ordinal": ordered(4),
    "multilabel": labels("abc"),
    "regression": number(),
    "regression, huber": number(loss="huber"),
    "regression, absolute": number(loss="absolute"),
}


def drawn_values(target: AnyTarget, rows: int, seed: int = 0) -> np.ndarray:
    """Values as the target encodes them, all known."""
    rng = np.random.default_rng(seed)
    match target:
        case Regression():
            return rng.normal(target.mean, target.std, rows)
        case Multilabel():
            return (rng.random((rows, target.width)) < 0.4).astype(np.float64)
        case _:
            return rng.integers(0, target.width, rows)


def drawn_natural(target: AnyTarget, rows: int, seed: int = 0) -> Tensor:
    """Natural parameters of (rows, K) distributions, float64."""
    outputs = np.random.default_rng(seed + 1000).normal(0, 1.5, (rows, target.width))
    return target.natural(torch.from_numpy(outputs))
