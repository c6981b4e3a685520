"""Fixtures and scheduling that all tests share."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from components.config.tracking import VARIABLES
from components.runtime.environ import keep_variables
from flows.prefect_internals.runs import share_certificates
from flows.process_settings import configure_process
from flows.servers.processes import Server, port_near, prefect_server
from flows.workers import forkserver
from tests.prefect_api import PASSWORD

# How long an example takes says how busy the machine is, not whether the code is right. Every run tries the
# same examples, so that a change is judged by what it changed; make fuzz looks for new ones.
settings.register_profile(
    "shared-machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shared-machine")

for _name in [name for name in os.environ if name in VARIABLES or name.startswith("PREFECT_")]:
    del os.environ[_name]  # of who starts the tests
# Flows that run in this process have one worker process: pytest -n shares the cores already.
os.environ["PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS"] = "1"
os.environ["PREFECT_API_AUTH_STRING"] = PASSWORD
configure_process()  # tests that run a command in this process pass its main() by
share_certificates()  # flows in this process are as many clients of Prefect as workers are


# Tests that share what takes seconds to make: a Prefect server, and the process of all workers.
SHARING = {
    "models": tuple(
        f"tests/acceptance/e2e/test_{of}.py" for of in ("distill", "monitor", "reproduce", "score")
    ),
    "runs": ("tests/acceptance/e2e/", "tests/acceptance/security/test_secrets.py"),
    "server": ("tests/flows/", "tests/tasks/", "tests/acceptance/faults/"),
}


def scope_of(nodeid: str) -> str:
    """Name the tests that go to the same process: those of a file, or of all files that share something."""
    file = nodeid.partition("::")[0]
    return next((group for group, files in SHARING.items() if file.startswith(files)), file)


class BySharing(LoadScopeScheduling):
    """Scheduling by file; files that share something go to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that share something, as a process takes all of a group."""
    items.sort(key=lambda item: scope_of(item.nodeid) not in SHARING)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import the tests without the search for garbage, which would be a quarter of the time that takes."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()  # what the imports made stays to the end
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BySharing:
    """Divide the tests by what they share."""
    return BySharing(config, log)


@pytest.fixture(autouse=True)
def mlflow_forgets_addresses() -> Iterator[None]:
    """Give each test MLflow's default addresses, which belong to the whole process."""
    with keep_variables(VARIABLES):
        yield
        if "mlflow" in sys.modules:
            sys.modules["mlflow"].set_tracking_uri(None)
            sys.modules["mlflow"].set_registry_uri("")


@pytest.fixture(scope="session")
def prefect_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the database and the log of the shared Prefect server."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def prefect(prefect_folder: Path) -> Iterator[Server]:
    """One Prefect server for the commands whose own server and workers are not what is tested.

    To start them is most of what a tiny run costs. No setting of this process names it: a command that takes
    it says so, and the tests of what happens without a server stay true in any order.
    """
    forkserver.begin()  # before flows make threads in this process
    with prefect_server(prefect_folder, port_near(0), ephemeral=True) as server:
        yield server


@pytest.fixture(scope="session")
def api(prefect: Server) -> str:
    """Address of the Prefect server."""
    return prefect.address
