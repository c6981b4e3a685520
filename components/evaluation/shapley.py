"""What each input is worth: exact Shapley values over all subsets of inputs (Shapley 1953)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import ArrayLike

from components.evaluation.weighted import FloatArray, IntArray

_TINY = float(np.finfo(np.float64).eps)


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All 2^M − 1 non-empty subsets, by size and then in the order of names."""
    return [subset for size in range(1, len(names) + 1) for subset in combinations(names, size)]


def shapley_values(values: Mapping[frozenset[str], ArrayLike]) -> dict[str, FloatArray]:
    """Shapley value of each name, where a subset's value may be an array of any one shape.

        φ(i) = Σ over S not containing i of |S|! (M − |S| − 1)! / M! · (v(S ∪ {i}) − v(S))

    Args:
        values: v(S) for every subset S of the M names, the empty one included.

    Returns:
        name → φ(name), of the shape of the values. They sum to v(all) − v(∅).

    Raises:
        ValueError: a subset is missing.
    """
    names = sorted(frozenset().union(*values))
    wanted = {frozenset(), *map(frozenset, subsets(names))}
    if lacking := wanted - set(values):
        shown = ", ".join(
            "{" + ", ".join(sorted(s)) + "}" for s in sorted(lacking, key=lambda s: (len(s), sorted(s)))
        )
        raise ValueError(f"a value is needed for each of the {len(wanted)} subsets; none given for {shown}")
    arrays = {subset: np.asarray(value, dtype=np.float64) for subset, value in values.items()}
    total = len(names)
    shares = {}
    for name in names:
        share = np.zeros_like(arrays[frozenset()])
        for subset in wanted:
            if name not in subset:
                weight = factorial(len(subset)) * factorial(total - len(subset) - 1) / factorial(total)
                share = share + weight * (arrays[subset | {name}] - arrays[subset])
        shares[name] = share
    return shares


def shapley_shares(values: Mapping[frozenset[str], float]) -> dict[str, float]:
    """shapley_values of plain numbers: what of the metric each input brings."""
    return {name: float(share) for name, share in shapley_values(values).items()}


def sample_shares(
    predictions: Mapping[tuple[str, ...], FloatArray], prior: FloatArray, predicted: IntArray
) -> dict[str, FloatArray]:
    """What each input adds, row by row, to the log-probability (nats) of the predicted class.

    A row's shares sum to ln p(predicted | all inputs) − ln prior(predicted). An input that is missing in a
    row has share 0 there.

    Args:
        predictions: probabilities (N, C) for every non-empty subset of inputs.
        prior: (C,), what is predicted from nothing.
        predicted: class indices (N,).
    """
    rows = np.arange(len(predicted))
    values: dict[frozenset[str], ArrayLike] = {
        frozenset(subset): np.log(np.clip(p[rows, predicted], _TINY, 1)) for subset, p in predictions.items()
    }
    values[frozenset()] = np.log(np.clip(prior[predicted], _TINY, 1))
    return shapley_values(values)
