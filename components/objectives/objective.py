"""What every objective is: a loss of a network on a batch, and a judgement on validation rows."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from components.models.networks import Batch


class Objective(nn.Module):
    """The interface of every objective. Its own parameters are trained with the network's.

    Attributes:
        metric: What :meth:`judge` measures; early stopping goes by it.
    """

    metric: str

    def forward(self, network: nn.Module, batch: Batch, present: Tensor) -> Tensor:
        """Loss of a training batch, a number.

        Args:
            network: What is trained.
            batch: Rows.
            present: (B, M) bool: which inputs may be looked at; fewer than the batch has, where inputs are
                hidden.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def judge(self, outputs: Tensor, values: Mapping[str, Tensor], present: Tensor) -> tuple[float, float]:
        """Loss and metric on all validation rows.

        Args:
            outputs: What the network gives for them, on the CPU.
            values: Their targets by name, on the CPU.
            present: (N, M) bool: which inputs they have, on the CPU.
        """
        raise NotImplementedError(f"{type(self).__name__} has no judge")

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Told before each epoch (from 0) of at most ``epochs``."""

    def after_backward(self, network: nn.Module) -> None:
        """Told after each backward pass; may change gradients."""

    def end_epoch(self, epoch: int, joint: float, singles: Mapping[str, float]) -> None:
        """Told after each epoch.

        Args:
            epoch: From 0.
            joint: Loss on validation.
            singles: The same given one input alone, by input; empty where that is not measured.
        """
