"""``braid up`` on a tiny project, as a team has it running, and its two APIs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from components.runtime.services import Services, running_services
from flows.servers.password import stored_password
from tests.acceptance.e2e.project import Project, interruptible, make_project
from tests.prefect_api import signed_in

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Up:
    """A running ``braid up``.

    Attributes:
        project: That it serves.
        process: Of the command.
        addresses: Of its servers.
        printed: Lines that it has printed.
    """

    project: Project
    process: subprocess.Popen[str]
    addresses: Services
    printed: tuple[str, ...]

    @property
    def sign_in(self) -> str:
        """The address that opens Prefect's pages signed in."""
        (line,) = [line for line in self.printed if line.startswith("Prefect")]
        return line.split()[-1]

    @property
    def mlflow(self) -> MlflowClient:
        return MlflowClient(self.addresses.mlflow, self.addresses.mlflow)

    def api(self, method: str, path: str, **body: Any) -> Any:
        """One request to Prefect's API; what it answers."""
        with signed_in(self.addresses.prefect_api, stored_password(self.project.workspace)) as client:
            answer = client.request(method, f"/{path}", json=body if method != "GET" else None)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def deployment(self, name: str) -> dict[str, Any]:
        return self.api("GET", f"deployments/name/{name}/{name}")

    def trigger(self, name: str, **parameters: Any) -> str:
        """Start a flow as the dashboard does; id of the run."""
        made = self.api(
            "POST", f"deployments/{self.deployment(name)['id']}/create_flow_run", parameters=parameters
        )
        return str(made["id"])

    def state(self, run: str) -> dict[str, Any]:
        return self.api("GET", f"flow_runs/{run}")["state"]

    def set_state(self, run: str, kind: str, name: str | None = None) -> None:
        """Set a run's state as the dashboard's buttons Cancel and Retry do."""
        self.api("POST", f"flow_runs/{run}/set_state", state={"type": kind, "name": name}, force=True)

    def end_of(self, run: str, seconds: float = 240) -> dict[str, Any]:
        """The final state of a run."""
        return until(lambda: state if (state := self.state(run))["type"] in FINAL else None, seconds, run)

    def runs_of(self, name: str) -> list[dict[str, Any]]:
        """All runs of a deployment, the oldest first."""
        runs = self.api("POST", "flow_runs/filter", deployments={"name": {"any_": [name]}})
        return sorted(runs, key=lambda run: run["expected_start_time"])

    def mlflow_run(self, flow_run: str) -> Any:
        """The parent run in MLflow of a flow run; fails where there is not exactly one."""
        experiment = self.mlflow.get_experiment_by_name("braid")
        assert experiment is not None
        wanted = f"tags.prefect_flow_run = '{flow_run}' and tags.`braid.part` = 'run'"
        (parent,) = self.mlflow.search_runs([experiment.experiment_id], wanted)
        return parent

    def process_of(self, run: str) -> psutil.Process:
        """The process that a flow run works in."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                belongs = process.environ().get("PREFECT__FLOW_RUN_ID") == run
                if belongs and "multiprocessing" not in " ".join(process.cmdline()):  # as of its workers
                    return process
            except psutil.Error:
                continue
        raise AssertionError(f"no process works on {run}")

    def begun(self, run: str, step: str) -> bool:
        """Tell whether a step of a run has reported something done."""
        for file in (self.project.workspace / "runs").glob("*/run.json"):
            if run in file.read_text() and (file.parent / "progress" / f"{step}.json").exists():
                return True
        return False


def until(look: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return what ``look`` gives, once it gives something true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = look()
        if value:
            return value
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def write_operations(project: Project, **changes: Any) -> Path:
    """An operations file for a project, on ports of its own."""
    file = project.folder / "operations.yaml"
    settings = {"prefect_port": 0, "mlflow_port": 0, "retrain": {"files": ["tiny.yaml"]}, **changes}
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    return file


def started(project: Project, operations: Path | None = None, **environment: str) -> Up:
    """Start ``braid up`` and wait until it serves.

    Args:
        project: Project whose workspace is served.
        operations: Operations file; by default that of the project.
        environment: Variables besides those of every project.
    """
    process = subprocess.Popen(
        project.command("up", str(operations or project.folder / "operations.yaml")),
        cwd=project.folder,
        env=project.environment(PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS="1", **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=interruptible,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Serving"):
            addresses = running_services(project.workspace)
            assert addresses is not None
            return Up(project, process, addresses, tuple(lines))
    process.wait()
    raise AssertionError("".join(lines))


@contextmanager
def running(project: Project, operations: Path | None = None, **environment: str) -> Iterator[Up]:
    """``braid up`` until the block ends; then Ctrl-C, after which nothing of it may be left."""
    up = started(project, operations, **environment)
    process = up.process
    children: list[psutil.Process] = []
    try:
        yield up
    finally:
        if process.poll() is None:
            children = psutil.Process(process.pid).children(recursive=True)
            os.kill(process.pid, signal.SIGINT)
            process.wait(timeout=120)
        _, alive = psutil.wait_procs(children, timeout=20)
        for child in alive:
            child.kill()
    assert not alive, alive
    assert process.returncode == 130


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """``braid up`` for the tests of one file."""
    project = make_project(tmp_path_factory.mktemp("up"))
    write_operations(project)
    with running(project) as command:
        yield command
