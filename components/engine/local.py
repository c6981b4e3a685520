"""The engine ``local``: everything in the process that asks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import pandas as pd

from components.config.engine import EngineConfig
from components.engine.protocol import Arguments, Returned, Worker, Yielded
from components.training.checkpoint import Epoch
from components.training.device import choose_device, number_format
from components.training.task import Training


class Local:
    """See :class:`components.engine.protocol.Engine`.

    Args:
        config: Of the engine.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config

    def number_format(self, precision: str) -> str:
        return number_format(precision, choose_device(self._config.device))

    def shards(
        self, make: Callable[[], Worker], rows: pd.DataFrame, size: int, *, network: bool
    ) -> Iterator[int]:
        if rows.empty:
            return
        work = make()
        for start in range(0, len(rows), size):
            shard = rows.iloc[start : start + size]
            work(shard)
            yield len(shard)

    def train(self, training: Training) -> Iterator[Epoch]:
        return training.run(choose_device(self._config.device))

    def steps(
        self,
        function: Callable[Arguments, Generator[Yielded, None, Returned]],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Generator[Yielded, None, Returned]:
        return function(*args, **kwargs)
