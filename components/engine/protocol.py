"""The interface of every engine: shards of rows, trainings, and steps of any other kind."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import ParamSpec, Protocol, TypeVar

import pandas as pd
import torch

from components.training.checkpoint import Epoch
from components.training.task import Training

Worker = Callable[[Iterable[pd.DataFrame]], Iterator[int]]
"""Works shards of rows off, one after the other, and writes what comes of each; tells the rows of each then.
It may be given the same shard twice, and comes to the same end."""
Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
Yielded = TypeVar("Yielded")
Returned = TypeVar("Returned")


class Table(Protocol):
    """Rows that are read a slice at a time: a data frame, or what reads one when it is asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> pd.DataFrame: ...


class Engine(Protocol):
    """Drives functions that know nothing of where they run."""

    def ask(self, question: Callable[[torch.device], Answer]) -> Answer:
        """Call a function with the device that networks run on, and return its result."""
        ...

    def shards(self, make: Callable[[], Worker], rows: Table, size: int, *, network: bool) -> Iterator[int]:
        """Work rows off, ``size`` at a time, each shard by one of as many workers as there is room for.

        Args:
            make: Makes a worker where it is to work; can be pickled.
            rows: All there is to do. A shard is the same rows with every engine.
            size: Most rows of a shard.
            network: Whether the work is that of a network, which a GPU does faster.

        Yields:
            How many more rows are done.
        """
        ...

    def train(self, training: Training) -> Iterator[Epoch]:
        """Train, from the beginning or behind the last epoch that the training's folder knows.

        Afterwards its network holds the best weights and is in eval mode.

        Yields:
            Every epoch once, also those of earlier processes.
        """
        ...

    def steps(
        self,
        function: Callable[Arguments, Generator[Yielded, None, Returned]],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Generator[Yielded, None, Returned]:
        """A generator function on one worker: what it yields, as it does, and what it returns.

        It may be begun again when its worker is lost, so it goes on where it was, by itself.
        """
        ...
