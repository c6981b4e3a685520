"""Late fusion of fitted inputs: temperatures and pooling weights from rows that the fits have not seen."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from components.models.fusion.late import Pool
from components.targets import AnyTarget, Targets, known_rows

_RIDGE = 3.0  # pull, in rows, of what all subsets share towards the product of calibrated posteriors
_OWN_RIDGE = 30.0  # pull, in rows, of each subset towards what all share
_MOST_SUBSETS = 64


def stack(
    late: Pool,
    natural: Mapping[str, Tensor],
    present: Tensor,
    values: Mapping[str, Tensor],
    prior: Tensor,
) -> None:
    """Learn a pool: temperatures, weights, prior correction.

    It starts as the product of calibrated posteriors divided by the surplus priors. That is the ideal
    combination of inputs that are independent given the target; the rows may move it away from there. Each
    subset of the inputs learns from all rows that have its inputs, given these alone. Its weights and prior
    correction are pulled towards those of all subsets, which those with few rows therefore keep. Wolpert 1992
    calls learning on held-out predictions stacking.

    Args:
        late: Changed in place.
        natural: Uncalibrated natural parameters (N, K) of each input on rows that its fit has not seen.
        present: (N, M) bool, columns in the order of ``late.inputs``.
        values: By target, for N rows.
        prior: (K,) natural parameters of the prediction without any input.
    """
    for number, (target, part) in enumerate(zip(late.targets, late.targets.slices.values(), strict=True)):
        mine = {name: natural[name][:, part].double() for name in late.inputs}
        _stack_one(late, number, target, part, mine, present, values[target.name], prior[part].double())


def _stack_one(
    late: Pool,
    target_number: int,
    target: AnyTarget,
    part: slice,
    natural: Mapping[str, Tensor],
    present: Tensor,
    values: Tensor,
    prior: Tensor,
) -> None:
    inputs, known = late.inputs, known_rows(values)
    scaled = []
    for column, name in enumerate(inputs):
        rows = present[:, column] & known
        temperature = target.temperature(natural[name][rows], values[rows].numpy()) if rows.any() else 1.0
        late.log_temperature.data[target_number, column] = float(np.log(temperature))
        scaled.append(natural[name] / temperature)
    base = -(len(inputs) - 1) * prior
    late.bias.data[:, part] = base.to(late.bias.dtype)
    masks = [present[known] & subset for subset in _subsets(len(inputs))]
    masks = [mask for mask in masks if mask.any()]
    if len(inputs) == 1 or not masks:
        return

    expanded = torch.cat(masks)
    rows = expanded.any(1)
    shown = expanded[rows].double()
    number = late.number(expanded[rows])  # (R,) of S subsets
    pooled = torch.stack(scaled, dim=1)[known].repeat(len(masks), 1, 1)[rows]  # (R, M, K)
    pooled = torch.where(expanded[rows].unsqueeze(-1), pooled, torch.zeros((), dtype=pooled.dtype))
    repeated = values[known].repeat(len(masks), *[1] * (values.dim() - 1))[rows]
    surplus = (shown.sum(1, keepdim=True) - 1) / (len(inputs) - 1)
    shared = torch.zeros(len(inputs) + len(prior), dtype=torch.float64, requires_grad=True)
    own = torch.zeros(len(late.bias), len(shared), dtype=torch.float64, requires_grad=True)
    learned = [shared, own] if len(own) > 1 else [shared]
    optimizer = torch.optim.LBFGS(learned, max_iter=200, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        log_weight, shift = (shared + own)[number].split([len(inputs), len(prior)], dim=1)
        summed = ((log_weight.exp() * shown).unsqueeze(-1) * pooled).sum(1)
        mixed = target.proper(summed + surplus * (base + shift), summed / shown.sum(1, keepdim=True))
        penalty = _RIDGE * shared.square().sum() / int(known.sum()) + _OWN_RIDGE * own.square().sum() / len(
            mixed
        )
        loss = target.losses(mixed, repeated).mean() + penalty
        loss.backward()
        return loss

    optimizer.step(objective)
    log_weight, shift = (shared + own).detach().split([len(inputs), len(prior)], dim=1)
    late.log_weight.data[:, target_number] = log_weight.to(late.log_weight.dtype)
    late.bias.data[:, part] = (base + shift).to(late.bias.dtype)


def held_out(
    targets: Targets,
    natural: Mapping[str, Tensor],
    present: Tensor,
    values: Mapping[str, Tensor],
    prior: Tensor,
    masks: Sequence[Tensor],
    folds: np.ndarray,
) -> list[Tensor]:
    """Pooled natural parameters of rows that the pooling did not learn from, for a fair choice of model.

    Args:
        targets: What is predicted.
        natural, present, values, prior: As for :func:`stack`.
        masks: (N, M) bool each: which inputs may be used.
        folds: (N,) int64: number of the part of each row, pooled by what the other parts taught.

    Returns:
        (N, K) for each mask.
    """
    results = [torch.zeros(len(present), targets.width) for _ in masks]
    for number in np.unique(folds):
        inside, outside = (
            torch.from_numpy(np.flatnonzero(part)) for part in (folds != number, folds == number)
        )
        pool = Pool(tuple(natural), targets)
        stack(
            pool,
            {name: value[inside] for name, value in natural.items()},
            present[inside],
            {name: value[inside] for name, value in values.items()},
            prior,
        )
        others = {name: value[outside] for name, value in natural.items()}
        for result, mask in zip(results, masks, strict=True):
            result[outside] = pool.combine(others, (present & mask)[outside]).detach()
    return results


def _subsets(inputs: int) -> list[Tensor]:
    """Every non-empty subset of the inputs; a fixed draw of them where there are very many."""
    if 2**inputs - 1 <= _MOST_SUBSETS:
        return [torch.tensor(bits) for bits in product([False, True], repeat=inputs) if any(bits)]
    draw = torch.rand(_MOST_SUBSETS - 1, inputs, generator=torch.Generator().manual_seed(0)) < 0.5
    draw[~draw.any(1), 0] = True
    return [torch.ones(inputs, dtype=torch.bool), *draw]
