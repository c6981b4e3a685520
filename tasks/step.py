"""Settings that all steps share: retries, time limit, and slots of a GPU."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run
from prefect.tasks import exponential_backoff

from components.config import EngineConfig
from components.errors import BraidError, ServiceError
from components.pipeline.budget import TRAININGS, in_time
from components.runtime.device import choose_device
from components.runtime.slots import SLOTS, slot
from tasks.context import Context, Run
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
    *, name: str, task_run_name: str | Callable[..., str], tags: list[str]
) -> Callable[[Callable[..., Returned]], Task[..., Returned]]:
    """Make a Prefect task with the settings that all steps share.

    Where the run's context gives the step a time, it gives :class:`components.references.LeftOut` if that is
    over; trainings look at the clock themselves.

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
        def run(*arguments: Any, **named: Any) -> Any:
            given = [*arguments, *named.values()]
            allowance = next((each.allowance for each in given if isinstance(each, Context)), None)
            with service_errors():
                if allowance is None:
                    return function(*arguments, **named)
                in_epochs = function.__name__.removesuffix("_task") in TRAININGS
                return in_time(
                    name, allowance, lambda *_: function(*arguments, **named), given, in_epochs=in_epochs
                )

        return settled(run)

    return made


@contextmanager
def gpu_slot(run: Context | Run, engine: EngineConfig | None = None) -> Iterator[None]:
    """Hold one of this machine's slots of the GPU for the block, where ``braid up`` or ``deploy`` set them.

    A CPU has no slots, and an engine that divides the GPUs of a cluster itself takes none.

    Args:
        run: The run; its workspace has the slots.
        engine: Engine of the step; None for one that takes the best device of this machine.

    Raises:
        BraidError: If other steps hold all slots for half a day.
    """
    slots = int(os.environ.get(SLOTS, 0))
    on_ray = engine is not None and engine.name == "ray"
    if not slots or on_ray or choose_device(engine.device if engine else "auto").type == "cpu":
        yield
        return
    purpose = f"{task_run.name} of {run.key}"
    with slot(run.workspace / "slots", "gpu", slots, purpose, lambda message: get_run_logger().info(message)):
        yield
