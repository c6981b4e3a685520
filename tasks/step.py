"""Settings that all steps share: retries, time limit, and slots of a GPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency
from prefect.tasks import exponential_backoff

from components.config.engine import EngineConfig
from components.errors import BraidError, ServiceError
from tasks.tracking.service import service_errors

_DAY = 24 * 3600
Returned = TypeVar("Returned")


def worth_retrying(task: Any, task_run: Any, state: Any) -> bool:
    """Tell if a retry can help: not for an error that the user has to mend first."""
    try:
        state.result()
    except BraidError as error:
        return isinstance(error, ServiceError)
    except Exception:
        return True
    return False


def step(
    *, name: str, task_run_name: str, tags: list[str]
) -> Callable[[Callable[..., Returned]], Task[..., Returned]]:
    """Make a Prefect task with the settings that all steps share.

    Prefect's result cache stays off: every step looks up finished work in the content-keyed stores.
    """
    settled = task(
        name=name,
        task_run_name=task_run_name,
        tags=tags,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=2,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=worth_retrying,
        timeout_seconds=_DAY,
    )

    def made(function: Callable[..., Returned]) -> Task[..., Returned]:
        @wraps(function)
        def run(*arguments: Any, **named: Any) -> Returned:
            with service_errors():
                return function(*arguments, **named)

        return settled(run)

    return made


@contextmanager
def gpu_slot(engine: EngineConfig | None = None) -> Iterator[None]:
    """Hold a slot of the global concurrency limit ``gpu``, if that limit exists.

    An engine that divides the GPUs of a cluster itself takes no slot.
    """
    if engine is not None and engine.name == "ray":
        yield
        return
    with concurrency("gpu", occupy=1, strict=False):
        yield
