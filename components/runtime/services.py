"""Addresses of ``braid up`` of a workspace: other commands on the same workspace use its servers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from components.storage.atomic import write_json


@dataclass(frozen=True)
class Served:
    """The servers of a workspace.

    Attributes:
        prefect_api: Address of Prefect's API.
        mlflow: Address of MLflow's server, or the tracking URI that it stands for.
        process: Id of the process of ``braid up``.
        started: When that process began, in seconds: another one may get its id later.
    """

    prefect_api: str
    mlflow: str
    process: int
    started: float

    @property
    def dashboard(self) -> str:
        """Address of Prefect's pages."""
        return self.prefect_api.removesuffix("/api")


def last_served(workspace: Path) -> Served | None:
    """Read which servers the workspace had last; None if it had none or the record cannot be read."""
    try:
        return Served(**json.loads(_record(workspace).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def served(workspace: Path) -> Served | None:
    """Return the servers of ``braid up`` of this workspace; None if it does not run."""
    found = last_served(workspace)
    if found is None:
        return None
    try:
        alive = abs(psutil.Process(found.process).create_time() - found.started) < 1
    except psutil.Error:
        return None
    return found if alive else None


def remember(workspace: Path, prefect_api: str, mlflow: str, process: int) -> Served:
    """Note that a process serves this workspace."""
    found = Served(prefect_api, mlflow, process, psutil.Process(process).create_time())
    write_json(_record(workspace), asdict(found))
    return found


def _record(workspace: Path) -> Path:
    return workspace / "services.json"
