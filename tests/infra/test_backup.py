"""Backups of what the servers wrote, brought back to another cluster and another bucket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.infra.cluster import ADMIN, PASSWORD, Cluster, cluster
from tests.infra.conftest import BUCKET, ROOT, S3, Services, create_databases

pytestmark = pytest.mark.e2e
DATABASES = ("prefect", "mlflow")


def script(name: str, what: str, folder: Path, **own: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        [str(ROOT / "infra" / name), what, str(folder)],
        env={**os.environ, "PATH": path, **own},
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


def test_databases_come_back_after_they_were_lost(
    services: Services, first_run: dict[str, Any], tmp_path: Path
) -> None:
    saved = script("backup.sh", "databases", tmp_path, **services.cluster.admin)
    assert saved.returncode == 0, saved.stderr
    folder = Path(saved.stdout.strip())
    assert {path.name for path in folder.iterdir()} == {"prefect.dump", "mlflow.dump"}
    assert folder.stat().st_mode & 0o077 == 0  # passwords' hashes are in there
    with cluster() as other:
        create_databases(other)
        restored = script("restore.sh", "databases", folder, **other.admin)
        assert restored.returncode == 0, restored.stderr
        before = {name: contents(other, name) for name in DATABASES}
        assert (first_run["mlflow_run"],) in other.rows("mlflow", "select run_uuid from runs")
        assert len(before["prefect"]["flow_run"]) >= 1
        # runs do not change any more, so they are what the live server has
        runs = "select t::text from runs t order by 1"
        assert other.rows("mlflow", runs) == services.cluster.rows("mlflow", runs)

        saved = script("backup.sh", "databases", tmp_path / "second", **other.admin)
        with psycopg.connect(
            host="127.0.0.1", port=other.port, user=ADMIN, password=PASSWORD, autocommit=True
        ) as connection:
            connection.execute("drop database mlflow")
            connection.execute("drop database prefect")
            connection.execute("create database prefect")  # and one of them with something else in it
        restored = script("restore.sh", "databases", Path(saved.stdout.strip()), **other.admin)
        assert restored.returncode == 0, restored.stderr
        assert {name: contents(other, name) for name in DATABASES} == before
        owners = "select tableowner from pg_tables where schemaname = 'public' group by 1"
        assert [other.rows(name, owners) for name in DATABASES] == [[("prefect",)], [("mlflow",)]]
        damaged = Path(saved.stdout.strip()) / "mlflow.dump"
        damaged.write_bytes(b"PGDMP, not really")
        refused = script("restore.sh", "databases", damaged.parent, **other.admin)
        assert refused.returncode != 0
        assert {name: contents(other, name) for name in DATABASES} == before, "nothing was replaced"


def test_old_backups_go_and_the_newest_stay(postgres: Cluster, tmp_path: Path) -> None:
    for day in range(1, 5):
        (tmp_path / f"2020010{day}T000000Z").mkdir()
    (tmp_path / "somebody's folder").mkdir()
    saved = script("backup.sh", "databases", tmp_path, BACKUPS_KEPT="2", **postgres.admin)
    assert saved.returncode == 0, saved.stderr
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"somebody's folder", "20200104T000000Z", Path(saved.stdout.strip()).name}


def test_artifacts_come_back_into_an_empty_bucket(
    services: Services, first_run: dict[str, Any], tmp_path: Path
) -> None:
    def bucket(name: str, action: str, of: str = BUCKET) -> str:
        done = script(
            name, action, tmp_path / "copy", BRAID_BUCKET=of, MLFLOW_S3_ENDPOINT_URL=services.s3, **S3
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    objects = {entry.key: entry.get()["Body"].read() for entry in services.bucket().objects.all()}
    assert len(objects) > 50
    early = script(
        "restore.sh", "artifacts", tmp_path / "copy",
        BRAID_BUCKET="other", MLFLOW_S3_ENDPOINT_URL=services.s3, **S3,
    )  # fmt: skip
    assert early.returncode != 0
    assert "no complete copy" in early.stderr
    assert bucket("backup.sh", "artifacts") == f"{len(objects)} objects, {len(objects)} copied, 0 removed"
    assert bucket("backup.sh", "artifacts") == f"{len(objects)} objects, 0 copied, 0 removed"
    whole = f"{len(objects)} objects, {len(objects)} sent, 0 removed"
    assert bucket("restore.sh", "artifacts", "other").splitlines()[-1] == whole
    other = services.bucket("other")
    assert {entry.key: entry.get()["Body"].read() for entry in other.objects.all()} == objects

    lost, changed = sorted(objects)[:2]
    other.Object(lost).delete()
    other.put_object(Key=changed, Body=b"x" * len(objects[changed]))  # same size
    other.put_object(Key="mlflow/of-nobody", Body=b"")
    assert bucket("restore.sh", "artifacts", "other") == f"{len(objects)} objects, 2 sent, 1 removed"
    assert {entry.key: entry.get()["Body"].read() for entry in other.objects.all()} == objects
