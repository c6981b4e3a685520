"""Services of a team: both servers on PostgreSQL, with passwords, and artifacts on an S3 API.

They are started by the image's own script, ``infra/image/start``; in the place of the object store is moto.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from flows.servers.processes import port_near
from tests.acceptance.e2e.project import THOROUGH, make_project
from tests.acceptance.infra.cluster import Cluster, cluster
from tests.acceptance.infra.processes import answered, running
from tests.acceptance.infra.team import (
    ADMIN_PASSWORD,
    BUCKET,
    PREFECT_AUTH,
    ROLES,
    S3,
    START,
    Services,
    TeamProject,
    create_bucket,
    create_databases,
    deploy,
    environment,
)
from tests.prefect_api import signed_in


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A cluster with the databases of both servers, made by the script that compose and Kubernetes use."""
    with cluster() as made:
        create_databases(made)
        yield made


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an S3 API with an empty bucket."""
    folder, port = tmp_path_factory.mktemp("s3"), port_near(0)
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, environment(folder), folder / "log") as process:
        answered(process, f"{address}/moto-api/data.json", folder / "log")
        create_bucket(address, BUCKET)
        yield address


@pytest.fixture(scope="session")
def services(
    postgres: Cluster, object_store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """Prefect's and MLflow's server, with what `start deploy` makes: work pools, deployments, a user."""
    folder = tmp_path_factory.mktemp("servers")
    prefect_port, mlflow_port = port_near(0), port_near(0)
    prefect = environment(
        folder,
        PORT=str(prefect_port),
        PREFECT_SERVER_API_AUTH_STRING=PREFECT_AUTH,
        PREFECT_SERVER_DATABASE_DRIVER="postgresql+asyncpg",
        PREFECT_SERVER_DATABASE_HOST="127.0.0.1",
        PREFECT_SERVER_DATABASE_PORT=str(postgres.port),
        PREFECT_SERVER_DATABASE_USER="prefect",
        PREFECT_SERVER_DATABASE_NAME="prefect",
        PREFECT_SERVER_DATABASE_PASSWORD=ROLES["prefect"],
    )
    mlflow = environment(
        folder,
        PORT=str(mlflow_port),
        MLFLOW_WORKERS="1",
        MLFLOW_ARTIFACTS_DESTINATION=f"s3://{BUCKET}/mlflow",
        MLFLOW_S3_ENDPOINT_URL=object_store,
        MLFLOW_AUTH_ADMIN_PASSWORD=ADMIN_PASSWORD,
        MLFLOW_FLASK_SERVER_SECRET_KEY="the same at every start",
        **postgres.environment("mlflow", ROLES["mlflow"], "mlflow"),
        **S3,
    )
    logs = folder / "prefect.log", folder / "mlflow.log"
    team = Services(
        f"http://127.0.0.1:{prefect_port}", f"http://127.0.0.1:{mlflow_port}", object_store, postgres
    )
    with (
        running([START, "prefect-server"], prefect, logs[0]) as first,
        running([START, "mlflow-server"], mlflow, logs[1]) as second,
    ):
        answered(first, f"{team.prefect}/api/health", logs[0])
        answered(second, f"{team.mlflow}/health", logs[1])
        deploy(team, folder)
        yield team


@pytest.fixture(scope="session")
def prefect(services: Services) -> httpx.Client:
    """Prefect's API, for whom knows the password."""
    return signed_in(f"{services.prefect}/api", PREFECT_AUTH)


@pytest.fixture(scope="session")
def api(services: Services) -> str:
    """Prefect's address."""
    return services.client["PREFECT_API_URL"]


@pytest.fixture(scope="session")
def project(services: Services, tmp_path_factory: pytest.TempPathFactory) -> TeamProject:
    """The project of the end-to-end test, on the servers."""
    made = make_project(tmp_path_factory.mktemp("team"), evaluation=THOROUGH, audit={})
    return TeamProject(made.folder, services.client["PREFECT_API_URL"], services)


@pytest.fixture(scope="session")
def first_run(project: TeamProject) -> dict[str, Any]:
    """The result of the first ``braid run``."""
    return project.run_alone()


@pytest.fixture
def as_client(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, too, says who it is."""
    for name, value in services.client.items():
        if name.startswith("MLFLOW_"):
            monkeypatch.setenv(name, value)
