"""Work pools and a process worker, as compose starts them: a pool's worker runs what is deployed to it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from tests.infra.conftest import PREFECT_AUTH, START, Services, TeamProject, deploy, environment
from tests.infra.processes import answered, free_port, served

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def prefect(services: Services) -> httpx.Client:
    user, _, password = PREFECT_AUTH.partition(":")
    return httpx.Client(base_url=f"{services.prefect}/api", auth=(user, password), timeout=30)


def test_pools_limit_and_deployments_are_there(
    prefect: httpx.Client, services: Services, tmp_path: Path
) -> None:
    pools = {pool["name"]: pool for pool in prefect.post("/work_pools/filter", json={}).json()}
    assert {name: pool["type"] for name, pool in pools.items()} == {"cpu": "process", "gpu": "process"}
    seen = {
        name: pool["base_job_template"]["variables"]["properties"]["env"]["default"]
        for name, pool in pools.items()
    }
    assert seen["cpu"]["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in seen["gpu"]
    assert prefect.get("/v2/concurrency_limits/gpu").json()["limit"] == 1
    assert routes(prefect) == {"retrain": "cpu", "distill": "cpu", "score": "cpu"}
    prefect.patch("/work_pools/cpu", json={"concurrency_limit": 7}).raise_for_status()
    printed = deploy(services, tmp_path, BRAID_HEAVY_POOL="gpu")  # again, as with a GPU worker
    assert "brought up to date" in printed
    assert routes(prefect) == {"retrain": "gpu", "distill": "gpu", "score": "cpu"}
    assert prefect.get("/work_pools/cpu").json()["concurrency_limit"] == 7
    deploy(services, tmp_path)
    assert routes(prefect)["retrain"] == "cpu"


def routes(prefect: httpx.Client) -> dict[str, str]:
    """Deployments and their pools."""
    found = prefect.post("/deployments/filter", json={}).json()
    assert all(deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE" for deployment in found)
    return {deployment["name"]: deployment["work_pool_name"] for deployment in found}


def test_a_worker_runs_what_is_deployed_to_its_pool(
    prefect: httpx.Client,
    services: Services,
    project: TeamProject,
    first_run: dict[str, Any],
    as_client: None,
    tmp_path: Path,
) -> None:
    port = free_port()
    own = {"BRAID_POOL": "cpu", "PREFECT_WORKER_WEBSERVER_PORT": str(port), **services.client}
    light = {"PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS": "1", "PREFECT_WORKER_QUERY_SECONDS": "2"}
    with served([START, "worker"], environment(tmp_path, **own, **light), tmp_path / "log") as worker:
        deployment = prefect.get("/deployments/name/retrain/retrain").json()
        assert deployment["work_pool_name"] == "cpu"
        given = {"config": str(project.config), "workspace": str(project.workspace)}
        run = prefect.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            json={"parameters": given, "state": {"type": "SCHEDULED", "state_details": {}}},
        ).json()
        answered(worker, f"http://127.0.0.1:{port}/health", tmp_path / "log")
        deadline = time.monotonic() + 300
        while run["state_type"] not in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-4000:]
            assert worker.poll() is None, (tmp_path / "log").read_text()[-4000:]
            time.sleep(0.5)
            run = prefect.get(f"/flow_runs/{run['id']}").json()
        assert run["state_type"] == "COMPLETED", (tmp_path / "log").read_text()[-4000:]
    assert run["work_pool_name"] == "cpu"
    assert run["infrastructure_pid"]
    logged = MlflowClient(services.mlflow).search_runs(
        ["1"], "tags.`braid.part` = 'run'", order_by=["attributes.start_time DESC"]
    )[0]
    assert logged.info.run_id != first_run["mlflow_run"]
    assert logged.info.status == "FINISHED"
    assert (
        logged.data.metrics["test_accuracy"] == first_run["test"]["accuracy"]["value"]
    )  # from the same cache


@pytest.mark.parametrize("role", ["prefect-server", "mlflow-server", "worker", "deploy"])
def test_a_role_says_which_variable_is_missing(role: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [START, role], env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"start {role}: the environment variable ")
