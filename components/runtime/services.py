"""Addresses of the servers of ``braid up``: other commands on the same workspace use them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from components.runtime.living import is_held
from components.storage.atomic import write_json

LOCK = "up.lock"
"""File in the workspace that ``braid up`` holds a lock on."""


@dataclass(frozen=True)
class Services:
    """Servers of a workspace.

    Attributes:
        prefect_api: Address of Prefect's API.
        mlflow: Address of MLflow's server, or the tracking URI that it stands for.
        process: Id of the process of ``braid up``.
        gpu_slots: Most steps that use the GPU at a time.
    """

    prefect_api: str
    mlflow: str
    process: int
    gpu_slots: int

    @property
    def dashboard(self) -> str:
        """Address of Prefect's pages."""
        return self.prefect_api.removesuffix("/api")


def last_services(workspace: Path) -> Services | None:
    """Read which servers the workspace had last; None if it had none or the record cannot be read."""
    try:
        return Services(**json.loads(_record(workspace).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def running_services(workspace: Path) -> Services | None:
    """Return the servers of ``braid up`` of this workspace; None if it does not run."""
    services = last_services(workspace)
    if services is None:
        return None
    # The lock alone would do, were it not held while the servers start and the record is that of last time.
    is_running = psutil.pid_exists(services.process) and is_held(workspace / LOCK)
    return services if is_running else None


def remember(workspace: Path, prefect_api: str, mlflow: str, process: int, gpu_slots: int) -> Services:
    """Record that a process serves this workspace."""
    services = Services(prefect_api, mlflow, process, gpu_slots)
    write_json(_record(workspace), asdict(services))
    return services


def _record(workspace: Path) -> Path:
    return workspace / "services.json"
