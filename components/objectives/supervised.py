"""Learning from targets."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.config import TrainingConfig
from components.models.networks import Batch
from components.objectives.objective import Objective
from components.targets import Head, Regression, Targets, known_rows, metric

WEIGHT = "weight"
"""Further tensor of a batch: weight of each row (B,), with mean 1 over the training rows."""


class Supervised(Objective):
    """The targets' losses; several are weighed against each other by their learned uncertainty.

    ``sum_t exp(-s_t) L_t + s_t / 2`` (Kendall, Gal & Cipolla 2018, https://arxiv.org/abs/1705.07115,
    section 3), with one learned ``s_t`` a target. The likelihood of a number has its uncertainty in it
    already, and falls below 0, where no ``s_t`` would be small enough: its weight stays 1. A batch in which
    no row has a target says nothing of that target's ``s_t``.

    Class weights tell the loss alone what matters: the network's natural parameters are those of the
    frequencies that the rows have; see :meth:`components.targets.Targets.loss_of`.

    Args:
        targets: Predicted targets.
        config: Label smoothing and class weights.
        training: Values of the training rows by target, for class weights.
    """

    def __init__(self, targets: Targets, config: TrainingConfig, training: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.targets, self.smoothing = targets, config.label_smoothing
        self.metric = targets.primary.metric
        self.log_variance = nn.Parameter(torch.zeros(len(targets))) if len(targets) > 1 else None
        self.weights = class_weights(targets, config, training)

    def forward(self, network: nn.Module, batch: Batch, present: Tensor) -> Tensor:
        natural = network(batch.inputs, present).float()
        return self.loss(natural, batch.targets, batch.further.get(WEIGHT))

    def loss(self, natural: Tensor, values: Mapping[str, Tensor], rows: Tensor | None = None) -> Tensor:
        """Loss of natural parameters (B, K); ``rows`` are the weights of the rows (B,)."""
        total = natural.new_zeros(())
        for number, target in enumerate(self.targets):
            weights = self.weights[target.name]
            weights = weights.to(natural.device) if weights is not None else None
            loss = self.targets.loss_of(target, natural, values, self.smoothing, weights, rows)
            known = bool(known_rows(values[target.name]).any())
            if self.log_variance is not None and known and not isinstance(target, Regression):
                s = self.log_variance[number]
                loss = loss * (-s).exp() + s / 2
            total = total + loss
        return total

    def evaluate(self, outputs: Tensor, values: Mapping[str, Tensor], present: Tensor) -> tuple[float, float]:
        """Mean loss over the targets, unweighted; and the primary target's metric."""
        target = self.targets.primary
        loss = float(torch.stack(list(self.targets.losses(outputs, values).values())).mean())
        rows = known_rows(values[target.name])
        if not rows.any():
            return loss, math.nan
        natural = outputs[rows][:, self.targets.slices[target.name]].double()
        return loss, metric(
            target, target.metric, values[target.name][rows].numpy(), target.predict(natural).numpy()
        )


def class_weights(
    targets: Targets, config: TrainingConfig, training: Mapping[str, Tensor]
) -> dict[str, Tensor | None]:
    """Give the weights of each target's classes; None without.

    Args:
        targets: Predicted targets.
        config: Options.
        training: Values of the training rows by target.
    """
    if config.class_weights == "none":
        return {target.name: None for target in targets}
    return {target.name: target.balance(training[target.name].cpu().numpy()) for target in targets}


def begin_balanced(head: nn.Module, config: TrainingConfig, training: Mapping[str, Tensor]) -> None:
    """Set the biases of a new head so that a training with class weights begins with equal chances.

    Args:
        head: Changed in place; without class weights it stays as it is, as does what is no :class:`Head`.
        config, training: As for :func:`class_weights`.
    """
    if not isinstance(head, Head):
        return
    for name, weights in class_weights(head.targets, config, training).items():
        if weights is not None:
            head.bias.data[head.targets.slices[name]] = -weights.log()
