"""Shards of rows over a pool of Ray Data's actors."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from components.config.engine import ClusterConfig
from components.engine.protocol import Table, Worker
from components.errors import BraidError, from_text, to_text


class Actor:
    """Worker for Ray Data: it takes a shard and returns the number of its rows.

    An error that the user can mend is returned beside the number: Ray would wrap a raised one until only
    its text is left.
    """

    def __init__(self, make: Callable[[], Worker]) -> None:
        self._make: Callable[[], Worker] = make
        self._work: Worker | None = None

    def __call__(self, shard: pd.DataFrame) -> pd.DataFrame:
        try:
            self._work = self._work or self._make()
            return pd.DataFrame({"rows": list(self._work([shard])), "refused": ""})
        except BraidError as error:
            return pd.DataFrame({"rows": [0], "refused": [to_text(error)]})


def shards(
    ray: Any, make: Callable[[], Worker], rows: Table, size: int, config: ClusterConfig, gpus: int
) -> Iterator[int]:
    """See :meth:`components.engine.protocol.Engine.shards`.

    A block of the dataset is one shard. Workers write their results themselves, so only the rows travel. Ray
    Data starts a lost actor again, and gives its shard to another.
    """
    parts = [ray.put(rows[start : start + size]) for start in range(0, len(rows), size)]
    if not parts:
        return
    most = min(len(parts), config.workers or _room(ray, config.cpus, gpus))
    pool = ray.data.ActorPoolStrategy(
        min_size=1,  # so that the last one can finish alone
        max_size=most,
        initial_size=most,
        max_tasks_in_flight_per_actor=2,
    )
    done = ray.data.from_pandas_refs(parts).map_batches(
        Actor,
        fn_constructor_args=(make,),
        batch_size=None,
        batch_format="pandas",
        compute=pool,
        num_cpus=config.cpus,
        num_gpus=gpus,
    )
    for batch in done.iter_batches(batch_size=None, batch_format="pandas"):
        for refused in batch["refused"]:
            if refused:
                raise from_text(refused)
        yield int(batch["rows"].sum())


def _room(ray: Any, cpus: int, gpus: int) -> int:
    """Return the number of workers for which the cluster has cores and GPUs."""
    resources = ray.cluster_resources()
    room = resources.get("CPU", 0) // cpus
    return max(1, int(min(room, resources.get("GPU", 0) // gpus) if gpus else room))
