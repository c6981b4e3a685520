"""Generator function as one Ray task, followed while it runs."""

from collections.abc import Callable, Generator
from typing import Any

from components.config.engine import ClusterConfig
from components.engine.cluster import followed


def steps(
    ray: Any, config: ClusterConfig, gpus: int, begin: Callable[[], Generator[Any, None, Any]]
) -> Generator[Any, None, Any]:
    """See :meth:`components.engine.protocol.Engine.steps`.

    Ray starts the task again, up to ``config.retries`` times, when its worker is lost.
    """
    remote = ray.remote(_marked).options(
        num_cpus=config.cpus, num_gpus=gpus, num_returns="streaming", max_retries=config.retries
    )
    stream = remote.remote(begin)
    with followed(ray, stream):
        for reference in stream:
            is_end, value = ray.get(reference)
            if is_end:
                return value
            yield value
    raise RuntimeError("a Ray task ended without a result")  # _marked yields one, or raises


def _marked(begin: Callable[[], Generator[Any, None, Any]]) -> Generator[tuple[bool, Any], None, None]:
    """Yield what a generator yields and at last what it returns, each with a mark for the end."""
    generator = begin()
    while True:
        try:
            item = next(generator)
        except StopIteration as end:
            yield True, end.value
            return
        yield False, item
