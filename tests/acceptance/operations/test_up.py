"""``braid up``: what it serves, how a run is started and cancelled, how it stops and starts again."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from components.runtime.services import running_services
from flows.servers.processes import port_near
from tests.acceptance.e2e.project import make_project
from tests.acceptance.operations.conftest import Up, running, until, write_operations

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def changed(up: Up) -> str:
    """A run whose form was filled in."""
    run = up.trigger("retrain", changes={"fusion": "gated", "epochs": 3})
    assert up.end_of(run)["type"] == "COMPLETED"
    return run


@pytest.mark.slow
def test_a_run_has_what_its_form_said(up: Up, changed: str) -> None:
    params = up.mlflow_run(changed).data.params
    assert (params["fusion.name"], params["training.epochs"]) == ("gated", "3")
    assert up.api("GET", f"flow_runs/{changed}")["name"].startswith("tiny 20")


@pytest.mark.slow
def test_a_command_on_the_same_workspace_uses_the_servers(up: Up, changed: str) -> None:
    result = up.project.run_alone("--set", "fusion.name=gated", "--set", "training.epochs=3", "--again")
    assert sum(result["extracted_rows"].values()) == 0
    tags = up.mlflow.get_run(result["mlflow_run"]).data.tags
    assert up.state(tags["prefect_flow_run"])["type"] == "COMPLETED"
    assert tags["prefect_flow_run_url"].startswith(up.addresses.dashboard)


@pytest.mark.slow
def test_cancelling_stops_the_work_within_seconds(up: Up, changed: str) -> None:
    run = up.trigger("retrain", changes={"epochs": 100_000}, overrides=["training.patience=null"])
    until(lambda: up.begun(run, "fit-fusion"), 120, "fit-fusion")
    process = up.process_of(run)
    at_work = process.children(recursive=True)
    assert at_work
    up.set_state(run, "CANCELLING")
    assert up.end_of(run, 20)["type"] == "CANCELLED"
    until(lambda: not any(each.is_running() for each in (process, *at_work)), 5, "the end of its processes")
    parent = up.mlflow_run(run)
    below = up.mlflow.search_runs(
        [parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    )
    assert parent.info.status == "KILLED"
    assert {each.info.status for each in below} == {"FINISHED", "KILLED"}


@pytest.mark.slow
def test_a_second_one_is_refused(up: Up) -> None:
    second = up.project.inside("up", str(up.project.folder / "operations.yaml"))
    assert second.exit_code == 4
    assert up.addresses.dashboard in second.stderr


@pytest.mark.slow
def test_stopped_and_started_again_it_is_where_it_was(tmp_path_factory: pytest.TempPathFactory) -> None:
    project = make_project(tmp_path_factory.mktemp("again"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        write_operations(
            project,
            prefect_port=taken.getsockname()[1],
            retrain={"files": ["tiny.yaml"], "schedules": [{"name": "nightly", "cron": "0 3 * * *"}]},
        )
        with running(project) as first:
            assert first.addresses.prefect_api != f"http://127.0.0.1:{taken.getsockname()[1]}/api"
            deployment = first.deployment("retrain")
            (schedule,) = deployment["schedules"]
            first.api("PATCH", f"deployments/{deployment['id']}/schedules/{schedule['id']}", active=False)
    assert running_services(project.workspace) is None
    with running(project) as second:
        assert second.addresses.prefect_api == first.addresses.prefect_api
        assert second.addresses.mlflow == first.addresses.mlflow
        again = second.deployment("retrain")
        assert again["id"] == deployment["id"]
        assert [each["active"] for each in again["schedules"]] == [False]
        names = [each["name"] for each in second.api("POST", "automations/filter")]
        assert len(names) == len(set(names)) == 2
        os.kill(second.process.pid, signal.SIGTERM)
        second.process.wait(60)


def test_a_fault_in_the_operations_file_is_told_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    project = make_project(tmp_path_factory.mktemp("faulty"))
    write_operations(project, retrain={"files": ["tiny.yml"]})
    refused = project.inside("up", str(project.folder / "operations.yaml"))
    assert (refused.exit_code, "retrain.files: tiny.yml is not a file" in refused.stderr) == (2, True)
    write_operations(
        project, retrain={"files": ["tiny.yaml"], "schedules": [{"name": "n", "cron": "every day"}]}
    )
    refused = project.inside("up", str(project.folder / "operations.yaml"))
    assert (refused.exit_code, "retrain.schedules: n.cron" in refused.stderr) == (2, True)


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port_near(port) > port
