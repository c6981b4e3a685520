"""Flow runs whose process is gone: ended with the reason, and with what they held.

:mod:`flows.run.end_lost` ends them in MLflow too. Processes that stay import this module, so it has to be
light.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Crashed

from components.runtime.living import dead, forget, living
from flows.run.folder import cut_off

_AT_WORK = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
_REASON = "its process is gone: it was killed, or its machine stopped. A retry resumes it from the cache."


@contextmanager
def marked(workspace: Path) -> Iterator[None]:
    """Tag the flow runs of the block with a mark that tells whether this process is alive."""
    with living(_marks(workspace)) as name, tags(_tag(name)):
        yield


def lost_runs(workspace: Path) -> frozenset[str]:
    """Name the processes and the runs of a workspace that were cut off, since when nobody resumed them."""
    return frozenset([*dead(_marks(workspace)), *cut_off(workspace)])


def end_lost_flow_runs(workspace: Path) -> None:
    """End the flow runs of commands that were killed.

    A run that waits (for a retry, a slot or an approval) has no process and is left as it is.

    Args:
        workspace: Workspace of the commands.
    """
    marks = dead(_marks(workspace))
    if marks:
        with get_client(sync_client=True) as client:
            for name in marks:
                _end(client, _runs_at_work(client, tags=FlowRunFilterTags(all_=[_tag(name)])))
                forget(_marks(workspace), name)


def end_served_runs(workspace: Path) -> None:
    """End the runs that an earlier ``braid up`` served, and count anew the limits of their deployments.

    Call it while nothing serves the workspace: no process of these runs outlives what served them.
    """
    with get_client(sync_client=True) as client:
        of_deployments = FlowRunFilterDeploymentId(is_null_=False)
        _end(
            client,
            [
                run
                for run in _runs_at_work(client, deployment_id=of_deployments)
                if run.parameters.get("workspace") == str(workspace) and run.work_queue_id is None
            ],
        )
        for deployment in client.read_deployments():
            limit = deployment.global_concurrency_limit
            if limit is not None:
                own = FlowRunFilterDeploymentId(any_=[deployment.id])
                held = len(_runs_at_work(client, deployment_id=own))
                client.update_global_concurrency_limit(
                    limit.name, GlobalConcurrencyLimitUpdate(active_slots=held)
                )


def _runs_at_work(client: SyncPrefectClient, **conditions: object) -> list[FlowRun]:
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_AT_WORK))
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state, **conditions))


def _end(client: SyncPrefectClient, lost: list[FlowRun]) -> None:
    """Set the final state of flow runs and of their task runs."""
    for run in lost:
        at_work = TaskRunFilterState(type=TaskRunFilterStateType(any_=_AT_WORK))
        for task_run in client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
            task_run_filter=TaskRunFilter(state=at_work),
        ):
            client.set_task_run_state(task_run.id, Crashed(message=_REASON), force=True)
        client.set_flow_run_state(run.id, _final_state(run), force=True)


def _final_state(run: FlowRun) -> State[None]:
    if run.state_type == StateType.CANCELLING:
        return Cancelled(message="cancelled, and its process is gone")
    return Crashed(message=_REASON)


def _marks(workspace: Path) -> Path:
    return workspace / "processes"


def _tag(name: str) -> str:
    return f"process {name}"
