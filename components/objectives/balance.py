"""Objectives that keep a fused model from leaning on its strongest input alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from components.config import TrainingConfig
from components.config.balance import (
    OGMGE,
    Auxiliary,
    BalanceConfig,
    NoCure,
    Pareto,
    Sequential,
)
from components.models.networks import Batch
from components.objectives.supervised import WEIGHT, Supervised
from components.targets import Targets, known_rows

_TINY = 1e-6
_MOST_RESCALED = 10.0


class AuxiliaryLoss(Supervised):
    """Joint loss + weight * mean over inputs of the loss of the same network given that input alone.

    Args:
        weight: Weight of the single inputs' mean loss.

    Other arguments are those of :class:`Supervised`.
    """

    def __init__(
        self, targets: Targets, config: TrainingConfig, training: Mapping[str, Tensor], weight: float
    ) -> None:
        super().__init__(targets, config, training)
        self.weight = weight

    def forward(self, network: nn.Module, batch: Batch, present: Tensor) -> Tensor:
        joint, singles = self.each(network, batch, present)
        return joint + self.weight * torch.stack(singles).mean()

    def each(self, network: Any, batch: Batch, present: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Loss with all inputs, and with each alone over the rows that have it."""
        embeddings = network.embed(batch.inputs, present)
        weights = batch.further.get(WEIGHT)
        joint = self.loss(network.decide(embeddings, present).float(), batch.targets, weights)
        singles = []
        for column in range(present.shape[1]):
            rows = present[:, column].nonzero().squeeze(1)
            if not len(rows):
                singles.append(joint * 0)
                continue
            part = {name: value[rows] for name, value in embeddings.items()}
            natural = network.decide(part, only(present[rows], column)).float()
            values = {name: value[rows] for name, value in batch.targets.items()}
            singles.append(self.loss(natural, values, None if weights is None else weights[rows]))
        return joint, singles


class MMPareto(AuxiliaryLoss):
    """MMPareto (Wei & Hu 2024, https://arxiv.org/abs/2405.17730).

    The loss is ``joint + sum of the single inputs' losses``. The parameters of one input get two gradients:
    that of its own loss, and that of the rest. :func:`integrate` puts them together, so that learning from an
    input alone does not fight the joint model. Shared parameters keep the sum.

    Args:
        gamma: Factor of the integrated gradient.
    """

    def __init__(
        self, targets: Targets, config: TrainingConfig, training: Mapping[str, Tensor], gamma: float
    ) -> None:
        super().__init__(targets, config, training, weight=1.0)
        self.gamma = gamma
        self._singles: list[Tensor] = []
        self._own: dict[str, Tensor] = {}  # gradient of each input's own loss, flat

    def forward(self, network: nn.Module, batch: Batch, present: Tensor) -> Tensor:
        joint, self._singles = self.each(network, batch, present)
        return joint + torch.stack(self._singles).sum()

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        self._own = {}

    def backward(self, network: Any, loss: Tensor, scale: float) -> None:
        for name, single in zip(network.inputs, self._singles, strict=True):
            learned = _learned(network, name)
            if not learned:
                continue
            own = torch.autograd.grad(single * scale, learned, retain_graph=True, allow_unused=True)
            self._own[name] = self._own.get(name, 0) + _flat(learned, own)
        self._singles = []
        super().backward(network, loss, scale)

    def after_backward(self, network: Any, mean: Callable[[Tensor], Tensor]) -> None:
        for name, own in self._own.items():
            learned, single = _learned(network, name), mean(own)
            total = _flat(learned, [each.grad for each in learned])
            step = integrate(total - single, single, self.gamma)
            sizes = [each.numel() for each in learned]
            for parameter, part in zip(learned, step.split(sizes), strict=True):
                if parameter.grad is not None:
                    parameter.grad.copy_(part.view_as(parameter))


def integrate(joint: Tensor, single: Tensor, gamma: float) -> Tensor:
    """Put the gradients (P,) of two losses together as MMPareto does.

    Gradients that do not conflict are added. Of others, whose cosine is negative, twice the combination
    ``a * joint + (1 - a) * single`` of the least norm is taken, which lowers both losses. Its norm is brought
    up to that of the sum, since small steps generalise worse; at most tenfold, since opposed gradients leave
    rounding errors alone. The result is multiplied by ``gamma``.
    """
    total = joint + single
    if joint @ single >= 0:
        return gamma * total
    share = ((single - joint) @ single / (joint - single).square().sum()).clamp(0, 1)
    mixed = 2 * (share * joint + (1 - share) * single)
    return gamma * mixed * (total.norm() / mixed.norm().clamp(min=_TINY)).clamp(1, _MOST_RESCALED)


class GradientModulation(Supervised):
    """OGM-GE (Peng et al. 2022, https://arxiv.org/abs/2203.15332, equations 8 to 12).

    The gradient of each input's own parameters is multiplied by ``1 - tanh(alpha * rho)`` where the input is
    ahead, ``rho > 1``: the mean likelihood of the targets given that input alone, over that of the others.
    Noise as large as the gradient's spread is added.

    Args:
        alpha: Strength.
        noise: Add noise.
    """

    def __init__(
        self,
        targets: Targets,
        config: TrainingConfig,
        training: Mapping[str, Tensor],
        alpha: float,
        noise: bool,
    ) -> None:
        super().__init__(targets, config, training)
        self.alpha, self.noise = alpha, noise
        self._likelihoods = torch.zeros(0)  # (M,)

    def forward(self, network: Any, batch: Batch, present: Tensor) -> Tensor:
        embeddings = network.embed(batch.inputs, present)
        with torch.no_grad():
            self._likelihoods = torch.stack(
                [
                    self._likelihood(network, embeddings, present, column, batch.targets)
                    for column in range(present.shape[1])
                ]
            )
        natural = network.decide(embeddings, present).float()
        return self.loss(natural, batch.targets, batch.further.get(WEIGHT))

    def after_backward(self, network: Any, mean: Callable[[Tensor], Tensor]) -> None:
        likelihoods = mean(self._likelihoods).tolist()
        for column, name in enumerate(network.inputs):
            others = [each for number, each in enumerate(likelihoods) if number != column]
            ratio = likelihoods[column] / max(sum(others) / max(len(others), 1), _TINY)
            factor = 1 - float(torch.tanh(torch.tensor(self.alpha * ratio))) if ratio > 1 else 1.0
            for parameter in network.parameters_of(name):
                if parameter.grad is None or parameter.numel() < 2:
                    continue
                noise = mean(torch.randn_like(parameter.grad) * parameter.grad.std()) if self.noise else 0.0
                parameter.grad.mul_(factor).add_(noise)

    def _likelihood(
        self,
        network: Any,
        embeddings: Mapping[str, Tensor],
        present: Tensor,
        column: int,
        values: Mapping[str, Tensor],
    ) -> Tensor:
        """Mean likelihood of the primary target given one input, over the rows that have both."""
        target = self.targets.primary
        truth = values[target.name]
        rows = (present[:, column] & known_rows(truth)).nonzero().squeeze(1)
        if not len(rows):
            return present.new_zeros((), dtype=torch.float32)
        part = {name: value[rows] for name, value in embeddings.items()}
        natural = network.decide(part, only(present[rows], column)).float()
        losses = target.losses(natural[:, self.targets.slices[target.name]], truth[rows])
        return (-losses).exp().mean()


class SequentialPriority(Supervised):
    """The weakest input begins; a stronger one joins after each equal part of ``share`` of the epochs.

    Inputs are ranked by what their own fits reach on validation. A row that has none of those which have
    joined keeps what it has.

    Args:
        strength: Validation metric of each input's own fit, higher is better, in the order of the columns.
        share: Share of the epochs, until all have joined.
    """

    def __init__(
        self,
        targets: Targets,
        config: TrainingConfig,
        training: Mapping[str, Tensor],
        strength: Mapping[str, float],
        share: float,
    ) -> None:
        super().__init__(targets, config, training)
        names = sorted(strength)
        order = sorted(names, key=lambda name: strength[name])
        self.rank = torch.tensor([order.index(name) for name in names])
        self.share, self.joined = share, len(names)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        waiting = max(len(self.rank) - 1, 1)
        self.joined = 1 + min(waiting, int(epoch * waiting / max(self.share * epochs, 1)))

    def forward(self, network: nn.Module, batch: Batch, present: Tensor) -> Tensor:
        visible = present & (self.rank.to(present.device) < self.joined)
        shown = torch.where(visible.any(1, keepdim=True), visible, present)
        return super().forward(network, batch, shown)


def _learned(network: Any, name: str) -> list[nn.Parameter]:
    """Parameters of one input alone that are trained."""
    return [each for each in network.parameters_of(name) if each.requires_grad]


def _flat(parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> Tensor:
    """Gradients as one vector (P,), zeros where there is none."""
    return torch.cat(
        [
            (torch.zeros_like(parameter) if gradient is None else gradient).flatten()
            for parameter, gradient in zip(parameters, gradients, strict=True)
        ]
    )


def only(present: Tensor, column: int) -> Tensor:
    """(B, M) presence with one input alone."""
    mask = torch.zeros_like(present)
    mask[:, column] = present[:, column]
    return mask


CURES: dict[type, Callable[[Any, Any, Targets, TrainingConfig, Any], Supervised]] = {
    NoCure: lambda balance, strength, targets, config, training: Supervised(targets, config, training),
    Auxiliary: lambda balance, strength, targets, config, training: AuxiliaryLoss(
        targets, config, training, balance.weight
    ),
    Pareto: lambda balance, strength, targets, config, training: MMPareto(
        targets, config, training, balance.gamma
    ),
    OGMGE: lambda balance, strength, targets, config, training: GradientModulation(
        targets, config, training, balance.alpha, balance.noise
    ),
    Sequential: lambda balance, strength, targets, config, training: SequentialPriority(
        targets, config, training, strength, balance.share
    ),
}


def build_objective(
    balance: BalanceConfig,
    strength: Mapping[str, float],
    targets: Targets,
    config: TrainingConfig,
    training: Mapping[str, Tensor],
) -> Supervised:
    """The objective of a fused training.

    Args:
        balance: Remedy.
        strength: Validation metric of each input's own fit; higher is better.
        targets, config, training: As for :class:`Supervised`.
    """
    return CURES[type(balance)](balance, strength, targets, config, training)
