"""Learning from targets."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from components.config import TrainingConfig
from components.models.networks import Batch
from components.objectives.objective import Objective
from components.targets import Regression, Targets, known_rows, metric

WEIGHT = "weight"
"""Further tensor of a batch: weight of each row (B,), with mean 1 over the training rows."""


class Supervised(Objective):
    """The targets' losses; several are weighed against each other by their learned uncertainty.

    ``sum_t exp(-s_t) L_t + s_t / 2`` (Kendall, Gal & Cipolla 2018, https://arxiv.org/abs/1705.07115,
    section 3), with one learned ``s_t`` a target. The likelihood of a number has its uncertainty in it
    already, and falls below 0, where no ``s_t`` would be small enough: its weight stays 1. A batch in which
    no row has a target says nothing of that target's ``s_t``.

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
        self.weights: dict[str, Tensor | None] = {target.name: None for target in targets}
        if config.class_weights == "balanced":
            for target in targets:
                self.weights[target.name] = target.balance(training[target.name].cpu().numpy())

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
