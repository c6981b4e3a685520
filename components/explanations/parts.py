"""Effects of the parts of an input, taken away with captum in three ways.

An input is described by a mask of its parts, 1 where a part stays; each modality makes the input with some
parts gone. The encoder only predicts, so no gradient has to flow: hashed n-grams, frozen pretrained models
and their feature extractors are explained like any other.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from captum.attr import FeatureAblation, Occlusion, ShapleyValues, ShapleyValueSampling
from torch import Tensor

from components.targets import FloatArray

Score = Callable[[Sequence[np.ndarray | None]], FloatArray]
"""Leaning of the row with each of N canonical arrays as the input, None for a missing input: (N,)."""

Hide = Callable[[np.ndarray], np.ndarray | None]
"""Canonical array of the input with only the parts in a mask (bool); None where no input is left."""

_AT_ONCE = 16  # copies of the input that are held and scored at once
_SMALL = 4  # most parts of which all orders, at most 24, are tried
_ORDERS = 24  # random orders of more parts
_SEED = 0


def taken_away(score: Score, array: np.ndarray) -> float:
    """Compute the loss of the score when all of a canonical array is taken away."""
    whole, none = score([array, None])
    return float(whole - none)


def occlude(score: Score, hide: Hide, rows: int, columns: int) -> FloatArray:
    """Find effects on a grid (rows, columns): the mean loss over the windows of 2 × 2 that cover a part.

    Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2. Windows hang
    over the edges, so that four cover every part; a side of fewer than 4 parts has windows of 1.
    """
    inner = tuple(slice(1, side + 1) if side >= 4 else slice(0, side) for side in (rows, columns))
    window = tuple(2 if side >= 4 else 1 for side in (rows, columns))
    whole = torch.ones(1, *(side + 2 if side >= 4 else side for side in (rows, columns)))
    effects = Occlusion(_forward(score, lambda mask: hide(mask[inner]))).attribute(
        whole,
        sliding_window_shapes=window,
        strides=(1, 1),
        baselines=0,
        perturbations_per_eval=_AT_ONCE,
    )
    return effects[0].double().numpy()[inner]


def leave_out(score: Score, hide: Hide, parts: int) -> FloatArray:
    """Find the effects of parts that are taken away one at a time: (parts,)."""
    if parts == 0:
        return np.zeros(0)
    effects = FeatureAblation(_forward(score, hide)).attribute(
        torch.ones(1, parts), baselines=0, perturbations_per_eval=_AT_ONCE
    )
    return effects[0].double().numpy()


def share_out(score: Score, hide: Hide, parts: int) -> FloatArray:
    """Find Shapley values of the parts, which sum to the effect of all of them: (parts,).

    Redundant parts share the effect, where taking away either alone would show none. Exact for few parts,
    else the mean over some random orders (Castro et al. 2009), always the same ones.
    """
    if parts == 0:
        return np.zeros(0)
    forward, mask = _forward(score, hide), torch.ones(1, parts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        if parts <= _SMALL:
            effects = ShapleyValues(forward).attribute(mask, baselines=0, perturbations_per_eval=_AT_ONCE)
        else:
            effects = ShapleyValueSampling(forward).attribute(
                mask, baselines=0, n_samples=_ORDERS, perturbations_per_eval=_AT_ONCE
            )
    return effects[0].double().numpy()


def runs(count: int, most: int) -> list[slice]:
    """Divide ``count`` parts into at most ``most`` runs of neighbours, as evenly as possible."""
    edges = np.linspace(0, count, min(count, most) + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def _forward(score: Score, hide: Hide) -> Callable[[Tensor], Tensor]:
    """Make the function that captum calls: masks (N, ...) to scores (N,)."""

    def forward(masks: Tensor) -> Tensor:
        return torch.from_numpy(score([hide(mask > 0.5) for mask in masks.numpy()]))

    return forward
