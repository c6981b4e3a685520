"""On PostgreSQL and S3, with passwords: the end-to-end test as it is, scoring into SQL, work pools, backups.

One file, so that the servers are started once: `make test` divides by file.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import psycopg
import pytest
from mlflow import MlflowClient

from components.data.sources.sql import open_query
from flows.hosting.automations import CRASHED, RETRAIN
from flows.servers.processes import port_near
from tests.acceptance.e2e.test_retrain import (
    test_artifacts_hold_figures_tables_report_and_configuration,
    test_first_model_is_champion,
    test_fusion_is_proved_to_beat_each_input,
    test_logged_model_scores_every_subset,
    test_mlflow_has_one_parent_and_the_nested_fits,
    test_signature_takes_rows_without_some_columns,
)
from tests.acceptance.infra.cluster import ADMIN, PASSWORD, Cluster, cluster
from tests.acceptance.infra.processes import answered, running
from tests.acceptance.infra.team import (
    BUCKET,
    ROOT,
    S3,
    START,
    Services,
    TeamProject,
    contents,
    create_bucket,
    create_databases,
    deploy,
    environment,
    routes,
    script,
)
from tests.acceptance.operations.conftest import write_operations

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.usefixtures("as_client")]
DATABASES = ("prefect", "mlflow")
SECRET = "s@cret/of:scores"
ROWS = 200

__all__ = [
    "test_artifacts_hold_figures_tables_report_and_configuration",
    "test_first_model_is_champion",
    "test_fusion_is_proved_to_beat_each_input",
    "test_logged_model_scores_every_subset",
    "test_mlflow_has_one_parent_and_the_nested_fits",
    "test_signature_takes_rows_without_some_columns",
]


def test_runs_are_in_postgresql_and_artifacts_in_the_bucket(
    project: TeamProject, first_run: dict[str, Any], services: Services
) -> None:
    run = first_run["mlflow_run"]
    stored = services.cluster.rows("mlflow", "select run_uuid, status from runs")
    assert (run, "FINISHED") in stored
    named = services.cluster.rows("prefect", "select state_name from flow_run where name like 'tiny %'")
    assert ("Completed",) in named
    uri = MlflowClient(project.tracking_uri).get_run(run).info.artifact_uri
    assert uri is not None
    assert uri.startswith("mlflow-artifacts:")  # by the server: clients have no key of the bucket
    keys = {entry.key for entry in services.bucket().objects.filter(Prefix="mlflow/")}
    assert any(key.endswith(f"{run}/artifacts/report.html") for key in keys)
    assert any(key.endswith("MLmodel") for key in keys)
    assert not (project.workspace / "mlartifacts").exists()
    assert not (project.workspace / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("name", "path"), [("prefect", "/api/admin/version"), ("mlflow", "/api/2.0/mlflow/runs/get")]
)
def test_a_server_answers_nobody_without_a_password(services: Services, name: str, path: str) -> None:
    address = {"prefect": services.prefect, "mlflow": services.mlflow}[name]
    assert httpx.get(f"{address}{path}").status_code == 401
    assert httpx.get(f"{address}{path}", auth=("admin", "guessed")).status_code == 401


def test_each_prediction_is_in_the_table_once(
    project: TeamProject, first_run: dict[str, Any], services: Services
) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=services.cluster.port, user=ADMIN, password=PASSWORD, autocommit=True
    ) as connection:
        connection.execute(f"create role scores login password '{SECRET}'")  # type: ignore[arg-type]
        connection.execute("create database scores owner scores")
    manifest = pd.read_csv(project.folder / "manifest.csv", dtype=str, keep_default_na=False).head(ROWS)
    manifest.drop(columns=["label", "split"]).to_csv(project.folder / "unlabelled.csv", index=False)

    def score() -> dict[str, Any]:
        # as in every URL, what has a meaning there is written as %..
        url = f"postgresql+psycopg://scores:${{SCORES}}@127.0.0.1:{services.cluster.port}/scores"
        done = project.braid(
            *(
                "score",
                "tiny",
                str(project.folder / "unlabelled.csv"),
                "--out",
                str(project.folder / "scores"),
            ),
            *("--sql", url, "--table", "answers", "--json"),
            SCORES=SECRET.replace("@", "%40").replace("/", "%2F").replace(":", "%3A"),
        )
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
        return json.loads(done.stdout)

    first = score()
    assert first["written_to_sql"] == ROWS
    again = score()
    assert again["repeated"]
    assert again["written_to_sql"] == 0
    stored = services.cluster.rows("scores", "select id, label, row from answers order by row")
    predictions = pd.read_parquet(first["predictions"]).sort_values("row")
    assert stored == list(predictions[["id", "label", "row"]].itertuples(index=False, name=None))
    asked = f"postgresql+psycopg://{ADMIN}:{PASSWORD}@127.0.0.1:{services.cluster.port}/scores"
    query = open_query(asked, "select id, label, row from answers order by row", "")  # as data.query
    (rows,) = query.batches(query.columns)
    assert stored == list(zip(rows["id"], rows["label"], rows["row"], strict=True))
    # half of it lost: what is missing comes back, and nothing twice
    with psycopg.connect(
        host="127.0.0.1", port=services.cluster.port, user=ADMIN, password=PASSWORD, dbname="scores"
    ) as connection:
        connection.execute("delete from answers where row % 2 = 0")
    assert score()["written_to_sql"] == ROWS
    assert services.cluster.rows("scores", "select id, label, row from answers order by row") == stored
    key = "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'answers'::regclass"
    assert services.cluster.rows("scores", key) == [('PRIMARY KEY ("row", run_id)',)]


def test_pools_and_deployments_are_there(prefect: httpx.Client) -> None:
    pools = {pool["name"]: pool for pool in prefect.post("/work_pools/filter", json={}).json()}
    assert {name: pool["type"] for name, pool in pools.items()} == {"cpu": "process", "gpu": "process"}
    seen = {
        name: pool["base_job_template"]["variables"]["properties"]["env"]["default"]
        for name, pool in pools.items()
    }
    assert seen["cpu"]["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in seen["gpu"]
    assert set(routes(prefect)) == {"retrain", "sweep", "distill", "score", "monitor"}
    assert set(routes(prefect).values()) == {"cpu"}
    deployments = {each["name"]: each for each in prefect.post("/deployments/filter", json={}).json()}
    limits = {name: each["global_concurrency_limit"]["limit"] for name, each in deployments.items()}
    assert limits == {"retrain": 1, "sweep": 1, "distill": 1, "score": 2, "monitor": 1}  # as the file says
    assert deployments["retrain"]["schedules"][0]["schedule"]["timezone"] == "Europe/Vienna"
    own = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30", "BRAID_GPU_SLOTS": "1"}
    assert deployments["retrain"]["job_variables"] == {"env": own}
    automations = prefect.post("/automations/filter", json={}).json()
    assert {each["name"] for each in automations} == {CRASHED, RETRAIN}


def test_training_goes_to_the_pool_of_gpus_and_its_worker_runs_it(
    prefect: httpx.Client, services: Services, project: TeamProject, first_run: dict[str, Any], tmp_path: Path
) -> None:
    prefect.patch("/work_pools/gpu", json={"concurrency_limit": 7}).raise_for_status()
    own = {
        "BRAID_OPERATIONS": str(write_operations(project)),
        "BRAID_WORKSPACE": str(project.workspace),
        "BRAID_HEAVY_POOL": "gpu",
    }
    assert "updated" in deploy(services, tmp_path, **own)
    assert routes(prefect) == {"retrain": "gpu", "score": "cpu", "monitor": "cpu"}  # all that this file has
    assert prefect.get("/work_pools/gpu").json()["concurrency_limit"] == 7, "what somebody set is lost"

    port, log = port_near(0), tmp_path / "log"
    own = {
        "BRAID_POOL": "gpu",
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    light = {"PREFECT_TASKS_RUNNER_PROCESS_POOL_MAX_WORKERS": "1"}
    with running([START, "worker"], environment(tmp_path, **services.client, **own, **light), log) as worker:
        deployment = prefect.get("/deployments/name/retrain/retrain").json()
        shorter = ["evaluation.robustness.rows=0", "evaluation.explanations.samples=0"]
        given = {"config": str(project.config), "overrides": shorter}
        run = prefect.post(
            f"/deployments/{deployment['id']}/create_flow_run", json={"parameters": given}
        ).json()
        answered(worker, f"http://127.0.0.1:{port}/health", log)
        deadline = time.monotonic() + 300
        while run["state_type"] not in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            assert worker.poll() is None, log.read_text()[-4000:]
            time.sleep(0.5)
            run = prefect.get(f"/flow_runs/{run['id']}").json()
        assert run["state_type"] == "COMPLETED", log.read_text()[-4000:]
    assert run["work_pool_name"] == "gpu"
    assert run["infrastructure_pid"]
    client = MlflowClient(services.mlflow)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    of_retraining = "tags.`braid.part` = 'run' and tags.kind = 'retrain'"
    (logged,) = client.search_runs(experiments, of_retraining, order_by=["start_time DESC"], max_results=1)
    assert logged.info.run_id != first_run["mlflow_run"]
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics["test_accuracy"] == first_run["test"]["accuracy"]["value"]


def test_a_work_pool_that_is_not_there_is_told(services: Services, tmp_path: Path) -> None:
    done = subprocess.run(
        [START, "braid", "deploy", "--pool", "nowhere", "--workspace", str(tmp_path)],
        env=environment(tmp_path, **services.client),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 4
    assert "there is no work pool 'nowhere'; there are: cpu, gpu" in done.stderr


@pytest.mark.parametrize("role", ["prefect-server", "mlflow-server", "worker", "deploy"])
def test_a_role_says_which_variable_is_missing(role: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [START, role], env=environment(tmp_path), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"start {role}: the environment variable ")


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
    folders = {path.name for path in tmp_path.iterdir()}
    assert folders == {"somebody's folder", "20200104T000000Z", Path(saved.stdout.strip()).name}


def test_artifacts_come_back_into_an_empty_bucket(
    services: Services, first_run: dict[str, Any], tmp_path: Path
) -> None:
    def of(bucket: str, name: str) -> subprocess.CompletedProcess[str]:
        own = {"BRAID_BUCKET": bucket, "MLFLOW_S3_ENDPOINT_URL": services.s3, **S3}
        return script(name, "artifacts", tmp_path / "copy", **own)

    def done(bucket: str, name: str) -> str:
        script_run = of(bucket, name)
        assert script_run.returncode == 0, script_run.stderr
        return script_run.stdout.strip()

    def held(bucket: str) -> dict[str, bytes]:
        return {entry.key: entry.get()["Body"].read() for entry in services.bucket(bucket).objects.all()}

    create_bucket(services.s3, "some")  # a part of what the run left: all takes moto half a minute
    run = f"mlflow/1/{first_run['mlflow_run']}/"
    for entry in services.bucket().objects.filter(Prefix=run).limit(40):
        services.bucket("some").copy({"Bucket": BUCKET, "Key": entry.key}, entry.key)
    objects = held("some")
    count = len(objects)
    assert count > 20

    early = of("other", "restore.sh")
    assert early.returncode != 0
    assert "no complete copy" in early.stderr
    assert done("some", "backup.sh") == f"{count} objects, {count} copied, 0 removed"
    assert done("some", "backup.sh") == f"{count} objects, 0 copied, 0 removed"
    assert done("other", "restore.sh") == f"{count} objects, {count} sent, 0 removed"
    assert held("other") == objects

    lost, changed = sorted(objects)[:2]
    other = services.bucket("other")
    other.Object(lost).delete()
    other.put_object(Key=changed, Body=b"x" * len(objects[changed]))  # same size
    other.put_object(Key="mlflow/of-nobody", Body=b"")
    assert done("other", "restore.sh") == f"{count} objects, 2 sent, 1 removed"
    assert held("other") == objects
