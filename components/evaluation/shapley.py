"""Exact Shapley values of the inputs, over all subsets (Shapley 1953)."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import ArrayLike

from components.targets import AnyTarget, FloatArray


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return all 2^M − 1 non-empty subsets, by size and then in the order of names."""
    return [subset for size in range(1, len(names) + 1) for subset in combinations(names, size)]


def shapley_values(values: Mapping[frozenset[str], ArrayLike]) -> dict[str, FloatArray]:
    """Compute the Shapley value of each name; values may be arrays of one shape.

        φ(i) = Σ over S not containing i of |S|! (M − |S| − 1)! / M! · (v(S ∪ {i}) − v(S))

    Args:
        values: v(S) for every subset S of the M names, the empty one included.

    Returns:
        name → φ(name), of the shape of the values. They sum to v(all) − v(∅).

    Raises:
        ValueError: If a subset is missing.

    Example:
        >>> accuracy = {(): 0.1, ("image",): 0.6, ("text",): 0.5, ("image", "text"): 0.9}
        >>> values = {frozenset(subset): value for subset, value in accuracy.items()}
        >>> {name: round(float(share), 3) for name, share in shapley_values(values).items()}
        {'image': 0.45, 'text': 0.35}
    """
    names = sorted(frozenset().union(*values))
    wanted = [
        frozenset(),
        *map(frozenset, subsets(names)),
    ]  # in a fixed order, so that sums are equal to the last bit
    if lacking := set(wanted) - set(values):
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
    """Compute :func:`shapley_values` of numbers: the share of the metric that each input contributes."""
    return {name: float(share) for name, share in shapley_values(values).items()}


def leaning_shares(
    target: AnyTarget, predictions: Mapping[tuple[str, ...], FloatArray], prior: FloatArray
) -> dict[str, FloatArray]:
    """Compute the contribution of each input to each row's prediction, in units of `Target.leaning`.

    Args:
        predictions: (N, P) for every non-empty subset of the inputs.
        prior: (P,) prediction without any input.

    Returns:
        (N,) by input, in nats of the prediction's probability or in units of the number. In each row they
        add up to the leaning with all inputs less that of the prior.
    """
    answers = predictions[max(predictions, key=len)]
    without = np.tile(np.asarray(prior, dtype=np.float64), (len(answers), 1))
    leanings: dict[frozenset[str], ArrayLike] = {
        frozenset(subset): target.leaning(made, answers) for subset, made in predictions.items()
    }
    return shapley_values({**leanings, frozenset(): target.leaning(without, answers)})


def interactions(values: Mapping[frozenset[str], float]) -> dict[tuple[str, str], float]:
    """Compute the Shapley interaction index of each pair (Grabisch & Roubens 1999), exact over all subsets.

        I(i, j) = Σ over S without i and j of |S|! (M − |S| − 2)! / (M − 1)! · Δij(S),
        Δij(S) = v(S ∪ {i, j}) − v(S ∪ {i}) − v(S ∪ {j}) + v(S)

    Positive if two inputs contribute more together than apart, negative if they are redundant.

    Args:
        values: v(S) for every subset S of the M names, the empty one included.
    """
    names = sorted(frozenset().union(*values))
    total = len(names)
    indices = {}
    for i, j in combinations(names, 2):
        rest = [name for name in names if name not in (i, j)]
        index = 0.0
        for subset in (frozenset(), *map(frozenset, subsets(rest))):
            weight = factorial(len(subset)) * factorial(total - len(subset) - 2) / factorial(total - 1)
            pair = values[subset | {i, j}] - values[subset | {i}] - values[subset | {j}] + values[subset]
            index += weight * pair
        indices[i, j] = index
    return indices
