"""Against a running Prefect server: names, artifacts, the gpu limit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.conftest import Project

BY_DEVICE = ("fit ", "extract ", "train ", "robustness", "explain")  # steps that hold a slot of `gpu`
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


@pytest.fixture(scope="module")
def api(project: Project) -> Iterator[str]:
    """Address of a Prefect server started as its own command, with a ``gpu`` limit of one slot."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=project.environment(PREFECT_SERVER_ANALYTICS_ENABLED="false"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}/api"
    try:
        deadline = time.monotonic() + 120
        while True:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            try:
                if httpx.get(f"{address}/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        limit = {"name": "gpu", "limit": 1, "active": True}
        httpx.post(f"{address}/v2/concurrency_limits/", json=limit).raise_for_status()
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=30)


def test_a_run_shows_names_artifacts_and_keeps_the_gpu_limit(
    project: Project, first_run: dict[str, object], api: str
) -> None:
    result = project.run("--set", "seed=1", PREFECT_API_URL=api)
    assert not (project.workspace / "prefect-server.log").read_text(
        "utf-8"
    )  # of the first run; this one had a server

    (flow_run,) = httpx.post(f"{api}/flow_runs/filter", json={}).json()
    assert flow_run["name"].startswith("tiny 20")
    assert flow_run["state_name"] == "Completed"
    task_runs = httpx.post(f"{api}/task_runs/filter", json={}).json()
    names = {run["name"] for run in task_runs}
    assert {"ingest", "preprocess picture", "fit sound", "extract words", "train fusion", "evaluate"} <= names
    assert {run["state_name"] for run in task_runs} == {"Completed"}

    artifacts = httpx.post(f"{api}/artifacts/filter", json={}).json()
    by_key = {artifact["key"]: artifact for artifact in artifacts if artifact["key"]}
    assert {"summary", "results", "subsets", "quarantine", "mlflow-run"} <= set(by_key)
    assert "Fusion helped" in by_key["summary"]["data"]
    assert str(result["mlflow_run"]) in str(by_key["mlflow-run"]["data"])
    progress = [artifact for artifact in artifacts if artifact["type"] == "progress"]
    assert progress
    assert all(artifact["data"] == 100.0 for artifact in progress)

    holders = [run for run in task_runs if run["name"].startswith(BY_DEVICE)]
    spans = sorted((run["start_time"], run["end_time"]) for run in holders)
    assert len(spans) == 9
    limit = httpx.get(f"{api}/v2/concurrency_limits/gpu").json()
    assert limit["active_slots"] == 0  # every slot was given back
    events = httpx.post(
        f"{api}/events/filter",
        json={"filter": {"event": {"name": ["prefect.concurrency-limit.acquired"]}}, "limit": 50},
    ).json()["events"]
    assert len(events) == len(holders)
