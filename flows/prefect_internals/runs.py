"""Private names of Prefect's task runners, engine and deployments."""

import asyncio
import shlex
import ssl
import sys
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache, partial
from multiprocessing.context import BaseContext
from types import SimpleNamespace
from typing import Any, Self

import prefect.client.orchestration
import prefect.flows
import prefect.runner.runner
from prefect import Flow
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.utilities import client_injector
from prefect.deployments.runner import RunnerDeployment
from prefect.task_runners import ProcessPoolTaskRunner, _initialize_process_pool_worker

from flows.workers.longest_first import LongestFirst, seconds_left

_WAITING_TASKS = 64  # most tasks of a flow that wait for their arguments at a time


class ContextTaskRunner(ProcessPoolTaskRunner):
    """A pool whose processes come from a multiprocessing context, and that begins what takes longest first.

    Prefect starts its processes by "spawn", each to import everything. It has as many threads that wait for
    the arguments of tasks as processes, so a task whose arguments are there may wait behind others.

    Goes when Prefect's runner takes an executor, as it takes an initializer (Prefect issue 22589).
    """

    @abstractmethod
    def process_context(self) -> BaseContext:
        """Return the context that processes are started by."""

    @abstractmethod
    def process_start(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
        """Return a function that each process calls as it begins, with its arguments."""

    @abstractmethod
    def seconds_left(self, task: str, parameters: Mapping[str, Any]) -> float:
        """Return how long a task and all that waits for it take, as far as is known."""

    def _resolve_futures_and_submit(
        self, task: Any, task_run_id: Any, parameters: Any, *others: Any, **more: Any
    ) -> Any:
        seconds_left.set(self.seconds_left(task.name, parameters))
        return super()._resolve_futures_and_submit(task, task_run_id, parameters, *others, **more)

    def __enter__(self) -> Self:
        super().__enter__()
        if self._executor is not None and self._resolver_executor is not None:
            self._executor.shutdown()  # they have started nothing yet
            self._resolver_executor.shutdown()
        self._resolver_executor = ThreadPoolExecutor(_WAITING_TASKS)
        self._executor = LongestFirst(
            self._max_workers,
            mp_context=self.process_context(),
            initializer=_initialize_process_pool_worker,
            initargs=(self._subprocess_message_queue, *self.process_start()),
        )
        return self

    @property
    def pool(self) -> ProcessPoolExecutor | None:
        """The executor of the processes; None outside a flow."""
        return self._executor

    @property
    def size(self) -> int:
        """Largest number of processes."""
        return self._max_workers


def replace_engine_signals(handler: Callable[[Any], AbstractContextManager[None]]) -> None:
    """Have task runs of this process end by ``handler`` where Prefect's engine would end the process.

    Goes when the engine raises an ``Exception`` where its API is gone, instead of ``exit(1)``.

    Args:
        handler: Makes the context of a task run from its id.
    """
    import prefect.engine

    prefect.engine.handle_engine_signals = handler  # type: ignore[assignment]


def share_certificates() -> None:
    """Have Prefect's clients in this process read the certificates of authorities once.

    Prefect makes two clients per task, and each of them reads the file anew for 30 ms, even for a server that
    needs none.

    Goes when Prefect's clients share them.
    """
    shared = SimpleNamespace(**vars(ssl))
    shared.create_default_context = cache(ssl.create_default_context)
    prefect.client.orchestration.ssl = shared  # type: ignore[assignment]


def start_runs_by(command: Sequence[str]) -> None:
    """Have the runner of this process start flow runs by a command instead of ``python -m prefect.engine``.

    Goes when ``Runner`` takes a command.
    """
    starter = prefect.runner.runner.EngineCommandStarter
    prefect.runner.runner.EngineCommandStarter = partial(starter, command=shlex.join(command))  # type: ignore[misc, assignment]


def offer_choices(deployment: RunnerDeployment, parameter: str, choices: Sequence[str]) -> None:
    """Have the form of a deployment offer choices for a parameter that is a path.

    Goes when a deployment's schema can be changed by a public name.
    """
    schema = deployment._parameter_openapi_schema.properties[parameter]
    schema.pop("format", None)
    schema["enum"] = list(choices)


def load_only(entrypoints: Collection[str]) -> None:
    """Have this process load these flows for its flow runs, and no others.

    A deployment is data of the API: whoever may write there could name any file as its flow, or have commands
    run before it (pull steps).

    Goes when a worker of Prefect can refuse pull steps, and entrypoints besides a list.

    Args:
        entrypoints: Module paths of the flows.
    """
    name = "load_flow_from_flow_run"
    load = getattr(prefect.flows, name)

    @client_injector
    async def load_own(client: PrefectClient, flow_run: FlowRun, *_: Any, **__: Any) -> Flow[..., Any]:
        if flow_run.deployment_id is None:
            raise PermissionError("a run without a deployment is not run")
        deployment = await client.read_deployment(flow_run.deployment_id)
        entrypoint = deployment.entrypoint
        if deployment.pull_steps or entrypoint is None or entrypoint not in entrypoints:
            raise PermissionError(
                f"the deployment {deployment.name!r} was changed by another than braid: its flow is "
                f"{entrypoint!r}, with {len(deployment.pull_steps or [])} pull steps. It is not run. "
                "`braid up` or `braid deploy` makes it anew"
            )
        load_entrypoint = partial(prefect.flows.load_flow_from_entrypoint, use_placeholder_flow=False)
        return await asyncio.to_thread(load_entrypoint, entrypoint)

    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is load:
            setattr(module, name, load_own)
