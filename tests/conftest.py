"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from prefect.settings import PREFECT_API_URL, temporary_settings

from components.config.tracking import VARIABLES
from components.runtime.environ import kept
from flows.servers.local import prefect_api

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")

for _name in VARIABLES:  # of who starts the tests
    os.environ.pop(_name, None)


@pytest.fixture(autouse=True)
def mlflow_forgets_its_place() -> Iterator[None]:
    """Where MLflow tracks and registers is the process's: no test leaves it to the next one."""
    with kept(VARIABLES):
        yield
        if "mlflow" in sys.modules:
            sys.modules["mlflow"].set_tracking_uri(None)
            sys.modules["mlflow"].set_registry_uri("")


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of one Prefect server for the commands whose own server and workers are not what is tested.

    To start them is most of what a tiny run costs.
    """
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        prefect_api(tmp_path_factory.mktemp("prefect")) as address,
    ):
        yield address
