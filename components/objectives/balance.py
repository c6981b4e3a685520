"""Objectives that keep a fused model from leaning on its strongest input alone."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from components.config import TrainingConfig
from components.config.balance import (
    OGMGE,
    Auxiliary,
    BalanceConfig,
    GradientBlending,
    NoCure,
    Sequential,
)
from components.models.networks import Batch
from components.objectives.supervised import WEIGHT, Supervised
from components.targets import Targets, known_rows

_TINY = 1e-6


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


class Blending(AuxiliaryLoss):
    """Gradient blending (Wang, Tran & Feiszli 2020, https://arxiv.org/abs/1905.12681, section 3.2, online).

    ``sum_k w_k L_k`` over the single inputs and the joint model, ``w_k`` in proportion to ``G_k / O_k^2``:
    what was gained on validation over the last epochs, against the growth of the gap between validation
    and training. Weights begin equal and are estimated anew after each ``every`` epochs.

    Args:
        inputs: Number of inputs M.
        every: Epochs between estimates.
    """

    def __init__(
        self,
        targets: Targets,
        config: TrainingConfig,
        training: Mapping[str, Tensor],
        inputs: int,
        every: int,
    ) -> None:
        super().__init__(targets, config, training, weight=1.0)
        self.every = every
        self.weights_now: Tensor
        self.seen: Tensor
        self.before: Tensor
        self.register_buffer("weights_now", torch.full((inputs + 1,), 1 / (inputs + 1)))
        self.register_buffer("seen", torch.zeros(inputs + 2))  # sums of the epoch's losses, and steps
        self.register_buffer("before", torch.full((2, inputs + 1), torch.nan))  # train and val losses

    def forward(self, network: nn.Module, batch: Batch, present: Tensor) -> Tensor:
        joint, singles = self.each(network, batch, present)
        losses = torch.stack([*singles, joint])
        self.seen += torch.cat([losses.detach(), losses.new_ones(1)])
        return (self.weights_now * losses).sum() * len(losses)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        self.seen.zero_()

    def end_epoch(self, epoch: int, joint: float, singles: Mapping[str, float]) -> None:
        val = torch.tensor([*singles.values(), joint], device=self.seen.device)
        train = self.seen[:-1] / self.seen[-1].clamp(min=1)
        if epoch % self.every and not self.before.isnan().any():
            return
        if not self.before.isnan().any():
            gain = (self.before[1] - val).clamp(min=_TINY)
            overfit = ((val - train) - (self.before[1] - self.before[0])).square().clamp(min=_TINY)
            self.weights_now = (gain / overfit) / (gain / overfit).sum()
        self.before = torch.stack([train, val])


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
        self._likelihoods: list[float] = []

    def forward(self, network: Any, batch: Batch, present: Tensor) -> Tensor:
        embeddings = network.embed(batch.inputs, present)
        with torch.no_grad():
            self._likelihoods = [
                self._likelihood(network, embeddings, present, column, batch.targets)
                for column in range(present.shape[1])
            ]
        natural = network.decide(embeddings, present).float()
        return self.loss(natural, batch.targets, batch.further.get(WEIGHT))

    def after_backward(self, network: Any) -> None:
        for column, name in enumerate(network.inputs):
            others = [each for number, each in enumerate(self._likelihoods) if number != column]
            ratio = self._likelihoods[column] / max(sum(others) / max(len(others), 1), _TINY)
            factor = 1 - float(torch.tanh(torch.tensor(self.alpha * ratio))) if ratio > 1 else 1.0
            for parameter in network.parameters_of(name):
                if parameter.grad is None or parameter.numel() < 2:
                    continue
                noise = torch.randn_like(parameter.grad) * parameter.grad.std() if self.noise else 0.0
                parameter.grad.mul_(factor).add_(noise)

    def _likelihood(
        self,
        network: Any,
        embeddings: Mapping[str, Tensor],
        present: Tensor,
        column: int,
        values: Mapping[str, Tensor],
    ) -> float:
        """Mean likelihood of the primary target given one input, over the rows that have both."""
        target = self.targets.primary
        truth = values[target.name]
        rows = (present[:, column] & known_rows(truth)).nonzero().squeeze(1)
        if not len(rows):
            return 0.0
        part = {name: value[rows] for name, value in embeddings.items()}
        natural = network.decide(part, only(present[rows], column)).float()
        losses = target.losses(natural[:, self.targets.slices[target.name]], truth[rows])
        return float((-losses).exp().mean())


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
    GradientBlending: lambda balance, strength, targets, config, training: Blending(
        targets, config, training, len(strength), balance.every
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
