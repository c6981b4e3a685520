"""What a team has: both servers on PostgreSQL, with passwords, and artifacts on an S3 API.

They are started by the image's own script, ``infra/image/start``; in the place of the object store is moto.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.e2e.conftest import THOROUGH, Project, make_project
from tests.infra.cluster import Cluster, cluster
from tests.infra.processes import answered, free_port, served

ROOT = Path(__file__).parents[2]
START = str(ROOT / "infra" / "image" / "start")
BUCKET = "braid"
PREFECT_AUTH = "team:a pass:word/with@signs"  # what has a meaning in URLs and in the header has to survive
ROLES = {"prefect": "p@ss/word:1%", "mlflow": "m@ss/word:2%"}  # each owns the database of its name
ADMIN_PASSWORD, BRAID_PASSWORD = "first@mlflow:password", "second@mlflow:password"
S3 = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Services:
    """Addresses of running servers, and what their clients have to know."""

    prefect: str
    mlflow: str
    s3: str
    cluster: Cluster

    @property
    def client(self) -> dict[str, str]:
        """The environment of somebody who uses them."""
        return {
            "PREFECT_API_URL": f"{self.prefect}/api",
            "PREFECT_API_AUTH_STRING": PREFECT_AUTH,
            "MLFLOW_TRACKING_URI": self.mlflow,
            "MLFLOW_TRACKING_USERNAME": "braid",
            "MLFLOW_TRACKING_PASSWORD": BRAID_PASSWORD,
        }

    def bucket(self, name: str = BUCKET) -> Any:
        """A bucket, as boto3 has it."""
        store = boto3.resource(
            "s3",
            endpoint_url=self.s3,
            region_name=S3["AWS_DEFAULT_REGION"],
            aws_access_key_id=S3["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=S3["AWS_SECRET_ACCESS_KEY"],
        )
        return store.Bucket(name)


@dataclass(frozen=True)
class TeamProject(Project):
    """A project whose runs go to servers that others share."""

    services: Services | None = None

    @property
    def tracking_uri(self) -> str:
        assert self.services is not None
        return self.services.mlflow

    def environment(self, **more: str) -> dict[str, str]:
        assert self.services is not None
        return super().environment(**{**self.services.client, **more})


def environment(folder: Path, **own: str) -> dict[str, str]:
    """Of a server: no settings of the user, its home in a folder, this environment's commands first."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "AWS_", "PG"))
    }
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HOME": str(folder),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "LISTEN": "127.0.0.1",
        **own,
    }


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A cluster with the databases of both servers, made by the script that compose and Kubernetes use."""
    with cluster() as made:
        create_databases(made)
        yield made


def create_databases(made: Cluster) -> None:
    passwords = {f"{role.upper()}_DATABASE_PASSWORD": password for role, password in ROLES.items()}
    done = subprocess.run(
        [str(ROOT / "infra" / "postgres" / "create-databases.sh")],
        env={**os.environ, **made.admin, **passwords},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def create_bucket(address: str, name: str) -> None:
    """By the script that compose and Kubernetes use."""
    script = ROOT / "infra" / "object-store" / "bucket.py"
    given = {**os.environ, **S3, "BRAID_BUCKET": name, "MLFLOW_S3_ENDPOINT_URL": address}
    subprocess.run([sys.executable, str(script), "create"], env=given, timeout=60, check=True)


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an S3 API with an empty bucket."""
    folder, port = tmp_path_factory.mktemp("s3"), free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with served(command, environment(folder), folder / "log") as process:
        answered(process, f"{address}/moto-api/data.json", folder / "log")
        create_bucket(address, BUCKET)
        yield address


@pytest.fixture(scope="session")
def services(
    postgres: Cluster, object_store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """Prefect's and MLflow's server, with what `start deploy` makes: work pools, deployments, a user."""
    folder = tmp_path_factory.mktemp("servers")
    prefect_port, mlflow_port = free_port(), free_port()
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
    found = Services(
        f"http://127.0.0.1:{prefect_port}", f"http://127.0.0.1:{mlflow_port}", object_store, postgres
    )
    with (
        served([START, "prefect-server"], prefect, logs[0]) as first,
        served([START, "mlflow-server"], mlflow, logs[1]) as second,
    ):
        answered(first, f"{found.prefect}/api/health", logs[0])
        answered(second, f"{found.mlflow}/health", logs[1])
        deploy(found, folder)
        yield found


def deploy(found: Services, folder: Path, **more: str) -> str:
    """What the one-shot service of compose does; gives what it prints."""
    own = {"BRAID_WORKSPACE": str(folder / "workspace"), "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN_PASSWORD}
    done = subprocess.run(
        [START, "deploy"],
        env=environment(folder, **found.client, **own, **more),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def api(services: Services) -> str:
    """Prefect's address."""
    return services.client["PREFECT_API_URL"]


@pytest.fixture(scope="session")
def project(services: Services, tmp_path_factory: pytest.TempPathFactory) -> TeamProject:
    """The project of the end-to-end test, on the servers."""
    made = make_project(tmp_path_factory.mktemp("team"), evaluation=THOROUGH)
    return TeamProject(made.folder, services.client["PREFECT_API_URL"], services)


@pytest.fixture(scope="session")
def first_run(project: TeamProject) -> dict[str, Any]:
    """The result of the first ``braid run``."""
    return project.run()


@pytest.fixture
def as_client(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, too, says who it is."""
    for name, value in services.client.items():
        if name.startswith("MLFLOW_"):
            monkeypatch.setenv(name, value)
