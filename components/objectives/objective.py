"""Interface of every objective: a loss of a network on a batch, and an evaluation on validation rows."""

from collections.abc import Callable, Mapping

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

    def backward(self, network: nn.Module, loss: Tensor, scale: float) -> None:
        """Add the gradients of some rows.

        Args:
            network: Network that is trained.
            loss: What :meth:`forward` gave, times ``scale``.
            scale: Share of these rows in the step.
        """
        loss.backward()

    def after_backward(self, network: nn.Module, mean: Callable[[Tensor], Tensor]) -> None:
        """Change the gradients of a step, if the objective has to.

        Args:
            network: Network that is trained.
            mean: Averages a tensor over the workers, whose gradients have to stay the same.
        """
