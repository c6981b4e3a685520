"""Late fusion of fitted inputs: temperatures and pooling weights from validation rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from components.evaluation.calibration import fit_temperature
from components.fusion.late import Late

_RIDGE = 3.0  # pull, in rows, towards the product of calibrated posteriors
_MOST_PATTERNS = 64


def stack(late: Late, logits: Mapping[str, Tensor], present: Tensor, targets: Tensor, prior: Tensor) -> None:
    """Learn what a late fusion adds to its heads: temperatures, weights, prior correction.

    It starts as the product of calibrated posteriors divided by the surplus priors, the ideal
    combination of inputs that are independent given the class, and leaves it as far as the rows
    say. Every subset of inputs counts alike. Wolpert 1992 calls learning on held-out predictions
    stacking.

    Args:
        late: Changed in place; its heads are left as they are.
        logits: Uncalibrated logits (N, C) of each input on validation rows.
        present: (N, M) bool, columns in the order of ``late.inputs``.
        targets: (N,) int64.
        prior: (C,) frequencies of the classes in the training rows.
    """
    inputs = late.inputs
    for column, name in enumerate(inputs):
        rows = present[:, column]
        temperature = (
            fit_temperature(logits[name][rows].double().numpy(), targets[rows].numpy()) if rows.any() else 1.0
        )
        late.log_temperature.data[column] = float(np.log(temperature))
    scaled = late.scale(logits, present).detach()
    start = -(len(inputs) - 1) * prior.clamp(min=1e-6).log()
    late.bias.data = (start - start.mean()).to(late.bias.dtype)
    masks = [present & pattern for pattern in _patterns(len(inputs))]
    masks = [mask for mask in masks if mask.any()]
    if len(inputs) == 1 or not masks:
        return

    expanded = torch.cat(masks)
    rows = expanded.any(1)
    log_weight = torch.zeros(len(inputs), dtype=torch.float64, requires_grad=True)
    shift = torch.zeros(len(prior), dtype=torch.float64, requires_grad=True)
    pooled = scaled.repeat(len(masks), 1, 1)[rows].double()
    repeated = targets.repeat(len(masks))[rows]
    there = expanded[rows].double()
    surplus = (there.sum(1, keepdim=True) - 1) / (len(inputs) - 1)
    base = late.bias.detach().double()
    optimizer = torch.optim.LBFGS([log_weight, shift], max_iter=200, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        mixed = ((log_weight.exp() * there).unsqueeze(-1) * pooled).sum(1) + surplus * (base + shift)
        penalty = _RIDGE * (log_weight.square().sum() + shift.square().sum()) / len(targets)
        loss = F.cross_entropy(mixed, repeated) + penalty
        loss.backward()
        return loss

    optimizer.step(objective)
    late.log_weight.data = log_weight.detach().to(late.log_weight.dtype)
    late.bias.data = (base + shift.detach()).to(late.bias.dtype)


def held_out(
    logits: Mapping[str, Tensor],
    present: Tensor,
    targets: Tensor,
    prior: Tensor,
    masks: Sequence[Tensor],
    folds: int = 5,
    seed: int = 0,
) -> list[Tensor]:
    """Pooled logits of rows that the pooling did not learn from, for a fair choice of model.

    Args:
        logits, present, targets, prior: As for :func:`stack`.
        masks: (N, M) bool each: which inputs may be used.
        folds: Parts, each pooled by what the others taught.
        seed: Of the division.

    Returns:
        (N, C) for each mask.
    """
    names = sorted(logits)
    results = [torch.zeros(len(targets), len(prior)) for _ in masks]
    order = np.random.default_rng(seed).permutation(len(targets))
    for part in np.array_split(order, min(folds, len(order))):
        inside, outside = torch.from_numpy(np.setdiff1d(order, part)), torch.from_numpy(part)
        fold = Late(dict.fromkeys(names, 1), len(prior))
        stack(fold, {name: logits[name][inside] for name in names}, present[inside], targets[inside], prior)
        for result, mask in zip(results, masks, strict=True):
            there = (present & mask)[outside]
            scaled = fold.scale({name: logits[name][outside] for name in names}, there)
            result[outside] = fold.pool(scaled, there).detach()
    return results


def _patterns(inputs: int) -> list[Tensor]:
    """Every non-empty subset of the inputs; a fixed draw of them where there are very many."""
    if 2**inputs - 1 <= _MOST_PATTERNS:
        return [torch.tensor(bits) for bits in product([False, True], repeat=inputs) if any(bits)]
    draw = torch.rand(_MOST_PATTERNS - 1, inputs, generator=torch.Generator().manual_seed(0)) < 0.5
    draw[~draw.any(1), 0] = True
    return [torch.ones(inputs, dtype=torch.bool), *draw]
