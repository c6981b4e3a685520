"""Engine ``local``: everything in the calling process."""

from collections.abc import Callable, Generator, Iterator

import torch

from components.config import EngineConfig
from components.engine.protocol import Answer, Arguments, Returned, Table, Worker, Yielded
from components.runtime.device import choose_device
from components.training.checkpoint import Epoch
from components.training.task import Training


class Local:
    """Engine in the calling process; see :class:`components.engine.protocol.Engine`.

    Args:
        config: Settings of the engine.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config

    def ask(self, question: Callable[[torch.device], Answer]) -> Answer:
        return question(choose_device(self._config.device))

    def shards(self, make: Callable[[], Worker], rows: Table, size: int, *, network: bool) -> Iterator[int]:
        if len(rows):
            yield from make()(rows[start : start + size] for start in range(0, len(rows), size))

    def train(self, training: Training) -> Iterator[Epoch]:
        return training.run(choose_device(self._config.device))

    def steps(
        self,
        function: Callable[Arguments, Generator[Yielded, None, Returned]],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Generator[Yielded, None, Returned]:
        return function(*args, **kwargs)
