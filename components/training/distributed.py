"""Workers that share a training: each learns from its part of every batch, all have the same weights."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from components.models.networks import Batch
from components.objectives import Objective

Value = TypeVar("Value")


class DistributedGroup:
    """Process group of torch, seen from one of its workers; without a group the worker is alone.

    Alone, nothing here changes a bit of a training.

    Attributes:
        rank: Number of this worker, from 0.
        size: Number of workers.
    """

    def __init__(self) -> None:
        grouped = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if grouped else 0
        self.size = distributed.get_world_size() if grouped else 1

    @property
    def is_main(self) -> bool:
        """True for the one worker that writes checkpoints."""
        return self.rank == 0

    def loss_of(self, network: nn.Module, objective: Objective) -> Callable[[Batch, Tensor], Tensor]:
        """Build the loss of a batch, whose backward pass averages gradients over all workers (DDP)."""
        loss = _Loss(network, objective)
        return loss if self.size == 1 else DistributedDataParallel(loss, find_unused_parameters=True)

    def part(self, positions: Tensor) -> tuple[Tensor, float]:
        """Choose this worker's rows of a batch, and the weight of their mean loss.

        With these weights the mean over the workers is the mean over the rows, also if their numbers of rows
        differ. A worker without rows takes the first one with weight 0.

        Args:
            positions: (B,) int64, rows of the batch.

        Returns:
            (b,) int64 and the weight.
        """
        if self.size == 1:
            return positions, 1.0
        mine = positions[self.rank :: self.size]
        return (mine, len(mine) * self.size / len(positions)) if len(mine) else (positions[:1], 0.0)

    def seed(self, seed: int) -> int:
        """Derive a seed of this worker's own, so that dropout differs between workers."""
        if self.is_main:
            return seed
        return int(np.random.SeedSequence([seed, self.rank]).generate_state(1, np.uint32)[0])

    def mean(self, value: Tensor) -> Tensor:
        """Average a tensor over the workers."""
        if self.size == 1:
            return value
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.size

    def share_buffers(self, network: nn.Module) -> None:
        """Give all workers the first one's running statistics."""
        if self.size > 1:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)

    def collect(self, parts: list[Tensor]) -> list[Tensor]:
        """Gather all parts in order, of which worker ``i % size`` has made part i."""
        if self.size == 1:
            return parts
        gathered: list[Any] = [None] * self.size
        distributed.all_gather_object(gathered, parts)
        rounds = max(len(each) for each in gathered)
        return [each[turn] for turn in range(rounds) for each in gathered if turn < len(each)]

    def agree(self, value: Value) -> Value:
        """Give every worker the first one's value."""
        if self.size == 1:
            return value
        shared = [value]
        distributed.broadcast_object_list(shared, 0)
        return shared[0]

    def wait(self) -> None:
        """Wait until all workers are here."""
        if self.size > 1:
            distributed.barrier()


class _Loss(nn.Module):
    """Objective as a module that holds all parameters, as DDP takes it."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network, self.objective = network, objective

    def forward(self, batch: Batch, present: Tensor) -> Tensor:
        return self.objective(self.network, batch, present)
