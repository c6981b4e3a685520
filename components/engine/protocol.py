"""Interface of every engine: shards of rows, trainings, and steps of any other kind."""

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import ParamSpec, Protocol, TypeVar

import pandas as pd
import torch

from components.training.checkpoint import Epoch
from components.training.task import Training

Worker = Callable[[Iterable[pd.DataFrame]], Iterator[int]]
"""Function that works on one shard of rows after the other, writes the result of each and yields its rows.
It may get the same shard twice, with the same result."""
Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
Yielded = TypeVar("Yielded")
Returned = TypeVar("Returned")


class Table(Protocol):
    """Rows that are read one slice at a time: a data frame, or an object that reads one on demand."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> pd.DataFrame: ...


class Engine(Protocol):
    """Driver of functions that do not depend on the machine that they run on."""

    def ask(self, question: Callable[[torch.device], Answer]) -> Answer:
        """Call a function with the device that networks run on, and return its result."""
        ...

    def shards(self, make: Callable[[], Worker], rows: Table, size: int, *, network: bool) -> Iterator[int]:
        """Work on rows in shards of ``size``, by as many workers as the cores allow.

        Args:
            make: Makes a worker in its own process; can be pickled.
            rows: All rows. The shards are the same with every engine.
            size: Most rows of a shard.
            network: True for work of a network, which a GPU does faster.

        Yields:
            Number of further rows that are done.
        """
        ...

    def train(self, training: Training) -> Iterator[Epoch]:
        """Train, from the beginning or behind the last epoch in the training's folder.

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
        """Run a generator function on one worker; yield its items as they come, and return its result.

        It is started again when its worker is lost, so it must resume by itself.
        """
        ...
