"""Deployments in the dashboard: forms with typed fields, limits, a rule for runs beyond them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from flows.hosting.deployments import Paths, deploy
from flows.servers.local import configured_as
from tests.acceptance.e2e.project import make_project
from tests.acceptance.operations.conftest import write_operations
from tests.prefect_api import signed_in

POOL = "of-this-test"


@pytest.fixture(scope="module")
def client(api: str) -> Iterator[httpx.Client]:
    with signed_in(api) as made:
        yield made


@pytest.fixture(scope="module")
def deployment(
    api: str, client: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """The deployment ``retrain`` of a project, on a server that has no other."""
    project = make_project(tmp_path_factory.mktemp("deployed"), rows=5)
    client.post("/work_pools/", json={"name": POOL, "type": "process"}).raise_for_status()
    schedule = {"name": "monday", "cron": "0 3 * * 1", "active": False, "when": {"new_rows": 500}}
    operations = write_operations(project, retrain={"files": ["tiny.yaml"], "schedules": [schedule]})
    with configured_as(api):
        deploy(operations, Paths(project.workspace, project.folder / "mlflow.yaml"), POOL, POOL)
    retrain_deployment = client.get("/deployments/name/retrain/retrain").raise_for_status().json()
    assert retrain_deployment["parameters"]["config"] == str(project.config)
    yield retrain_deployment
    for each in client.post("/deployments/filter", json={}).json():
        client.delete(f"/deployments/{each['id']}").raise_for_status()
    for each in client.post("/automations/filter", json={}).json():
        client.delete(f"/automations/{each['id']}").raise_for_status()
    client.delete(f"/work_pools/{POOL}").raise_for_status()


def test_the_form_has_a_typed_field_for_what_people_change(deployment: dict[str, Any]) -> None:
    schema = deployment["parameter_openapi_schema"]
    config, changes = schema["properties"]["config"], schema["definitions"]["RetrainChanges"]["properties"]
    assert config["enum"] == [deployment["parameters"]["config"]]
    assert {"gated", "tensor", "late"} <= set(changes["fusion"]["enum"])
    assert (changes["epochs"]["type"], changes["epochs"]["minimum"]) == ("integer", 1)
    assert all(field["description"] and "anyOf" not in field for field in changes.values())
    assert schema["properties"]["workspace"]["readOnly"]


def test_the_conditions_of_a_schedule_are_a_parameter_of_its_runs(deployment: dict[str, Any]) -> None:
    (schedule,) = deployment["schedules"]
    assert schedule["parameters"] == {"when": {"new_rows": 500, "drift": False}}
    assert "when" not in deployment["parameters"]
    form = deployment["parameter_openapi_schema"]
    assert form["definitions"]["When"]["properties"]["new_rows"]["type"] == "integer"
    assert form["properties"]["again"]["type"] == "boolean"


def test_deployments_have_a_limit_and_a_rule_for_more(deployment: dict[str, Any]) -> None:
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert deployment["job_variables"]["env"]["BRAID_GPU_SLOTS"] == "1"


def test_a_value_that_is_not_allowed_is_refused_by_the_api(
    client: httpx.Client, deployment: dict[str, Any]
) -> None:
    path = f"/deployments/{deployment['id']}/create_flow_run"
    refused = client.post(path, json={"parameters": {"changes": {"fusion": "magic"}}})
    assert refused.status_code == 409
    assert (
        client.post("/flow_runs/filter", json={"deployments": {"id": {"any_": [deployment["id"]]}}}).json()
        == []
    )
