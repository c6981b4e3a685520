"""Engine ``ray``: Ray Data for shards, Ray Train for trainings, Ray tasks for the rest."""

from collections.abc import Callable, Generator, Iterator

import torch

from components.config import EngineConfig
from components.engine import ray_data, ray_steps, ray_train
from components.engine.cluster import connect, gpus_each
from components.engine.protocol import Answer, Arguments, Returned, Table, Worker, Yielded
from components.runtime.device import choose_device
from components.training.checkpoint import Epoch
from components.training.task import Training


class OnRay:
    """Engine on a Ray cluster; see :class:`components.engine.protocol.Engine`.

    Args:
        config: Settings of the engine.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._ray = connect(config)

    def ask(self, question: Callable[[torch.device], Answer]) -> Answer:
        gpus = gpus_each(self._config, self._ray)
        if not gpus:
            return question(torch.device("cpu"))
        device = self._config.device
        asked = self._ray.remote(lambda: question(choose_device(device)))
        return self._ray.get(asked.options(num_cpus=1, num_gpus=gpus).remote())

    def shards(self, make: Callable[[], Worker], rows: Table, size: int, *, network: bool) -> Iterator[int]:
        gpus = gpus_each(self._config, self._ray) if network else 0
        return ray_data.shards(self._ray, make, rows, size, self._config.cluster, gpus)

    def train(self, training: Training) -> Iterator[Epoch]:
        gpus = gpus_each(self._config, self._ray)
        return ray_train.train(self._ray, training, self._config, gpus)

    def steps(
        self,
        function: Callable[Arguments, Generator[Yielded, None, Returned]],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Generator[Yielded, None, Returned]:
        gpus = gpus_each(self._config, self._ray)
        return ray_steps.steps(self._ray, self._config.cluster, gpus, lambda: function(*args, **kwargs))
