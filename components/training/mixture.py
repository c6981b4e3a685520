"""Weights of several learners of one input, from rows that none of them has learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from components.targets import AnyTarget, Targets, known_rows
from components.training.greedy import select


@dataclass(frozen=True)
class Mixture:
    """Log-linear pool of L learners: ``eta = sum_k share_k / temperature_k * eta_k``.

    Attributes:
        shares: (L, T) share of each learner for each target; each target's sum to 1.
        scale: (L, K) share over temperature, for each natural parameter.
    """

    shares: Tensor
    scale: Tensor

    def __call__(self, natural: Sequence[Tensor]) -> Tensor:
        """Pool natural parameters (N, K) of each learner. (N, K)."""
        return sum((scale * each for scale, each in zip(self.scale, natural, strict=True)), torch.zeros(()))


def mix(targets: Targets, natural: Sequence[Tensor], values: Mapping[str, Tensor], alone: bool) -> Mixture:
    """Calibrate each learner, and select those whose average has the lowest log loss.

    Args:
        targets: What is predicted: T targets with K natural parameters.
        natural: Natural parameters (N, K) of L learners on rows that they have not learned from.
        values: By target, for N rows.
        alone: Select only one learner for each target.
    """
    shares = torch.zeros(len(natural), len(targets))
    scale = torch.zeros(len(natural), targets.width)
    for number, (target, part) in enumerate(zip(targets, targets.slices.values(), strict=True)):
        known = known_rows(values[target.name])
        truth = values[target.name][known].numpy()
        if not len(truth):  # nothing to go by
            shares[0, number], scale[0, part] = 1.0, 1.0
            continue
        mine = [each[known][:, part].double() for each in natural]
        temperatures = [target.temperature(each, truth) for each in mine]
        calibrated = torch.stack(
            [each / t for each, t in zip(mine, temperatures, strict=True)]
        )  # (L, n, K_t)

        def loss(
            members: Sequence[int],
            target: AnyTarget = target,
            calibrated: Tensor = calibrated,
            truth: np.ndarray = truth,
        ) -> float:
            return _loss(target, calibrated[list(members)].mean(0), truth)

        learners = range(len(natural))
        members = [min(learners, key=lambda learner: loss([learner]))] if alone else select(learners, loss)
        for learner in members:
            shares[learner, number] += 1 / len(members)
        for learner in set(members):
            scale[learner, part] = shares[learner, number] / temperatures[learner]
    return Mixture(shares, scale)


def learn_mixture(
    targets: Targets, natural: Sequence[Tensor], values: Mapping[str, Tensor], folds: np.ndarray
) -> tuple[Mixture, Tensor]:
    """Learn a mixture, and predict each row by one that was learned from the other parts of the rows.

    For a target of which the mixture is not better there than the best learner, that learner has all weight.

    Args:
        targets, natural, values: As for :func:`mix`.
        folds: (N,) number of the part of each row.

    Returns:
        The mixture from all rows, and the natural parameters (N, K) of the others.
    """
    held = {alone: _held_out(targets, natural, values, folds, alone) for alone in (False, True)}
    mixed, single = (mix(targets, natural, values, alone) for alone in (False, True))
    shares, scale, fair = mixed.shares.clone(), mixed.scale.clone(), held[False].clone()
    for number, (target, part) in enumerate(zip(targets, targets.slices.values(), strict=True)):
        known = known_rows(values[target.name])
        truth = values[target.name][known].numpy()
        losses = {alone: _loss(target, each[known][:, part].double(), truth) for alone, each in held.items()}
        if not losses[False] < losses[True]:
            shares[:, number], scale[:, part] = single.shares[:, number], single.scale[:, part]
            fair[:, part] = held[True][:, part]
    return Mixture(shares, scale), fair


def _held_out(
    targets: Targets, natural: Sequence[Tensor], values: Mapping[str, Tensor], folds: np.ndarray, alone: bool
) -> Tensor:
    result = torch.zeros(len(folds), targets.width)
    for number in np.unique(folds):
        inside = torch.from_numpy(folds != number)
        learned = mix(
            targets,
            [each[inside] for each in natural],
            {name: each[inside] for name, each in values.items()},
            alone,
        )
        result[~inside] = learned([each[~inside] for each in natural])
    return result


def _loss(target: AnyTarget, natural: Tensor, truth: np.ndarray) -> float:
    """Mean log loss of natural parameters (n, K_t); infinite without rows."""
    if not len(truth):
        return float("inf")
    predictions = target.predict(target.proper(natural)).numpy()
    return float(target.row_losses(truth, predictions).mean())
