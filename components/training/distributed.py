"""The workers that share a training: each learns from its part of every batch, all have the same weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from components.models.networks import Batch
from components.objectives import Objective

Value = TypeVar("Value")


class Peers:
    """This worker's place among those of torch's process group; without a group it is alone.

    Alone, nothing here changes a bit of a training.
    """

    def __init__(self) -> None:
        there = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if there else 0
        self.size = distributed.get_world_size() if there else 1

    @property
    def leads(self) -> bool:
        """Whether this one writes checkpoints."""
        return self.rank == 0

    def loss_of(self, network: nn.Module, objective: Objective) -> Callable[[Batch, Tensor], Tensor]:
        """The loss of a batch, whose backward pass averages gradients over all workers (DDP)."""
        loss = _Loss(network, objective)
        return loss if self.size == 1 else DistributedDataParallel(loss, find_unused_parameters=True)

    def part(self, positions: Tensor) -> tuple[Tensor, float]:
        """This worker's rows of a batch, and what their mean loss is multiplied by.

        The mean over the workers is then the mean over the rows, also where they have different numbers of
        them. One that would have none takes the first row, for nothing.
        """
        if self.size == 1:
            return positions, 1.0
        mine = positions[self.rank :: self.size]
        return (mine, len(mine) * self.size / len(positions)) if len(mine) else (positions[:1], 0.0)

    def seed(self, seed: int) -> int:
        """A seed of this worker's own, so that not all drop out the same."""
        if self.leads:
            return seed
        return int(np.random.SeedSequence([seed, self.rank]).generate_state(1, np.uint32)[0])

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a tensor over the workers."""
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
        """Every worker's parts in turn: part i of a list of which worker ``i % size`` has made its own."""
        if self.size == 1:
            return parts
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, parts)
        rounds = max(len(each) for each in found)
        return [each[turn] for turn in range(rounds) for each in found if turn < len(each)]

    def agree(self, value: Value) -> Value:
        """The first worker's value."""
        if self.size == 1:
            return value
        said = [value]
        distributed.broadcast_object_list(said, 0)
        return said[0]

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            distributed.barrier()


class _Loss(nn.Module):
    """An objective as a module that holds all that is learned, as DDP takes it."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network, self.objective = network, objective

    def forward(self, batch: Batch, present: Tensor) -> Tensor:
        return self.objective(self.network, batch, present)
