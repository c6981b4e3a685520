"""Interface of every objective: a loss of a network on a batch, and an evaluation on validation rows."""

from collections.abc import Mapping

from torch import Tensor, nn

from components.models.networks import Batch


class Objective(nn.Module):
    """Interface of every objective. Its own parameters are trained with the network's.

    Attributes:
        metric: Name of the metric that :meth:`evaluate` gives; early stopping goes by it.
    """

    metric: str

    def forward(self, network: nn.Module, batch: Batch, present: Tensor) -> Tensor:
        """Give the loss of a training batch, a number ().

        Args:
            network: Network that is trained.
            batch: Rows.
            present: (B, M) bool, the inputs that may be used; fewer than the batch has, if some are hidden.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def evaluate(self, outputs: Tensor, values: Mapping[str, Tensor], present: Tensor) -> tuple[float, float]:
        """Give loss and metric on all validation rows.

        Args:
            outputs: Outputs (N, ...) of the network for them, on the CPU.
            values: Their targets by name, on the CPU.
            present: (N, M) bool, the inputs that they have, on the CPU.
        """
        raise NotImplementedError(f"{type(self).__name__} has no evaluate")

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Prepare for an epoch (from 0) of at most ``epochs``."""

    def after_backward(self, network: nn.Module) -> None:
        """Change gradients after a backward pass, if the objective has to."""

    def end_epoch(self, epoch: int, joint: float, singles: Mapping[str, float]) -> None:
        """Take in the results of an epoch.

        Args:
            epoch: From 0.
            joint: Loss on validation, given all inputs.
            singles: Loss on validation given one input alone, by input; empty if not measured.
        """
