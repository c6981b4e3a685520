"""Runs whose process is gone are ended with what they held; no others are."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from mlflow import MlflowClient
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.runtime import flow_run
from prefect.states import AwaitingRetry, Completed, Paused, Pending, Running, Scheduled, Suspended

from components.config import TrackingConfig
from components.runtime.living import living
from flows.run.end_lost import end_lost_runs
from flows.run.folder import claim
from flows.run.lost import end_served_runs, marked
from flows.servers.local import configured_as
from tasks.tracking import runs
from tests.forks import begun

pytestmark = pytest.mark.e2e


def tracking(workspace: Path) -> TrackingConfig:
    return TrackingConfig(tracking_uri=f"sqlite:///{workspace / 'mlflow.db'}")


@task
def step() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@flow(name="dying")
def dying(workspace: Path) -> None:
    with claim(workspace, "birds", "purpose", str(flow_run.id)) as record:
        runs.start_run(tracking(workspace), record.key, record.key, {"prefect_flow_run": str(flow_run.id)})
        step()


@flow(name="living")
def looking(workspace: Path) -> UUID:
    """A run at work, in which another command looks for lost ones."""
    with claim(workspace, "birds", "another", str(flow_run.id)) as record:
        made = runs.start_run(tracking(workspace), record.key, record.key, {})
        end_lost_runs(workspace, tracking(workspace))
        assert runs.get_run(tracking(workspace), made).info.status == "RUNNING"
    return UUID(str(flow_run.id))


def die(workspace: Path, api: str) -> None:
    with configured_as(api), marked(workspace):
        dying(workspace)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose MLflow database is made once: that takes seconds."""
    return tmp_path_factory.mktemp("lost")


@pytest.fixture(autouse=True)
def client(api: str) -> Iterator[SyncPrefectClient]:
    with configured_as(api), get_client(sync_client=True) as made:
        yield made


def test_a_killed_command_leaves_nothing_that_says_running(
    workspace: Path, api: str, client: SyncPrefectClient
) -> None:
    killed = begun(die, workspace, api)
    killed.join()
    (flow_run,) = [
        run for run in client.read_flow_runs() if run.parameters.get("workspace") == str(workspace)
    ]
    assert flow_run.state_type == StateType.RUNNING
    mlflow = MlflowClient(str(tracking(workspace).tracking_uri))
    (logged,) = mlflow.search_runs(["1"], f"tags.prefect_flow_run = '{flow_run.id}'")
    assert logged.info.status == "RUNNING"

    with marked(workspace):
        alive = looking(workspace)

    ended = client.read_flow_run(flow_run.id)
    assert ended.state is not None
    assert ended.state.type == StateType.CRASHED
    assert "its process is gone" in str(ended.state.message)
    assert {each.state_type for each in client.read_task_runs() if each.flow_run_id == flow_run.id} == {
        StateType.CRASHED
    }
    assert mlflow.get_run(logged.info.run_id).info.status == "KILLED"
    assert client.read_flow_run(alive).state_type == StateType.COMPLETED
    assert list((workspace / "processes").iterdir()) == []


def dead_mark(folder: Path) -> str:
    """A mark that nobody holds."""
    with living(folder) as name:
        pass
    (folder / f"{name}.lock").touch()
    return f"process {name}"


CANCELLING = State[None](type=StateType.CANCELLING)


def test_only_what_needs_a_process_is_ended_without_one(workspace: Path, client: SyncPrefectClient) -> None:
    states = [
        Running(), Pending(), CANCELLING, Completed(), Paused(), Suspended(), AwaitingRetry(), Scheduled(),
    ]  # fmt: skip
    runs = {}
    for state in states:
        tags = [dead_mark(workspace / "processes")]
        run = client.create_flow_run(dying, parameters={"workspace": workspace}, tags=tags)
        client.set_flow_run_state(run.id, state, force=True)
        runs[state.name] = run.id
    end_lost_runs(workspace, tracking(workspace))
    assert {name: client.read_flow_run(run).state_type.name for name, run in runs.items()} == {
        "Running": "CRASHED",
        "Pending": "CRASHED",
        "Cancelling": "CANCELLED",
        "Completed": "COMPLETED",
        "Paused": "PAUSED",
        "Suspended": "PAUSED",
        "AwaitingRetry": "SCHEDULED",
        "Scheduled": "SCHEDULED",
    }


def test_a_restart_ends_what_was_served_and_frees_its_place(
    tmp_path: Path, client: SyncPrefectClient
) -> None:
    deployment = client.create_deployment(client.create_flow(dying), "served", concurrency_limit=2)

    def started(workspace: Path, *states: State[None]) -> FlowRun:
        run = client.create_flow_run_from_deployment(deployment, parameters={"workspace": str(workspace)})
        for state in states:
            client.set_flow_run_state(run.id, state)
        return run

    lost = started(tmp_path, Pending(), Running())
    elsewhere = started(tmp_path / "elsewhere", Pending())
    waiting = started(tmp_path, Pending())
    assert client.read_flow_run(waiting.id).state_type == StateType.SCHEDULED, "the limit is reached"
    name = client.read_deployment(deployment).global_concurrency_limit
    assert name is not None
    client.update_global_concurrency_limit(name.name, GlobalConcurrencyLimitUpdate(active_slots=2))
    end_served_runs(tmp_path)
    assert client.read_flow_run(lost.id).state_type == StateType.CRASHED
    assert client.read_flow_run(elsewhere.id).state_type == StateType.PENDING
    assert client.read_flow_run(waiting.id).state_type == StateType.SCHEDULED
    assert client.read_global_concurrency_limit_by_name(name.name).active_slots == 1
