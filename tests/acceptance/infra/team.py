"""Services of a team, and what its people and its administrator do with it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx

from tests.acceptance.e2e.project import Project
from tests.acceptance.infra.cluster import Cluster

ROOT = Path(__file__).parents[3]
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
    """Variables of a server: no settings of the user, home in a folder, this environment's commands first."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "AWS_", "PG"))
    }
    return {
        **inherited,
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


def deploy(services: Services, folder: Path, **more: str) -> str:
    """Do what the one-shot service of compose does, and return what it prints."""
    own = {"BRAID_WORKSPACE": str(folder / "workspace"), "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN_PASSWORD}
    done = subprocess.run(
        [START, "deploy"],
        env=environment(folder, **{**services.client, **own, **more}),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def script(name: str, what: str, folder: Path, **own: str) -> subprocess.CompletedProcess[str]:
    """``infra/backup.sh`` or ``infra/restore.sh``."""
    return subprocess.run(
        [str(ROOT / "infra" / name), what, str(folder)],
        env={**environment(folder), **own},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def contents(made: Cluster, database: str) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables, in an order that does not depend on where they lie."""
    tables = made.rows(database, "select tablename from pg_tables where schemaname = 'public' order by 1")
    return {
        str(table): made.rows(database, f'select t::text from "{table}" t order by 1')  # type: ignore[arg-type]
        for (table,) in tables
    }


def routes(prefect: httpx.Client) -> dict[str, str]:
    """Deployments and their pools."""
    deployments = prefect.post("/deployments/filter", json={}).json()
    return {deployment["name"]: deployment["work_pool_name"] for deployment in deployments}
