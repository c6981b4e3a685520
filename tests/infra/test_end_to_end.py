"""The end-to-end test as it is, on PostgreSQL and S3: only the fixtures are others (conftest.py)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from mlflow import MlflowClient

from tests.e2e.test_retrain import (
    test_artifacts_hold_figures_tables_report_and_configuration,
    test_first_model_is_champion,
    test_fusion_is_proved_to_beat_each_input,
    test_logged_model_scores_every_subset_in_a_fresh_process,
    test_mlflow_has_one_parent_and_the_nested_fits,
    test_second_run_over_the_same_data_extracts_nothing,
    test_signature_takes_rows_without_some_columns,
)
from tests.infra.conftest import Services, TeamProject

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("as_client")]

__all__ = [
    "test_artifacts_hold_figures_tables_report_and_configuration",
    "test_first_model_is_champion",
    "test_fusion_is_proved_to_beat_each_input",
    "test_logged_model_scores_every_subset_in_a_fresh_process",
    "test_mlflow_has_one_parent_and_the_nested_fits",
    "test_second_run_over_the_same_data_extracts_nothing",
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
    ("name", "path"), [("prefect", "/api/flows/count"), ("mlflow", "/api/2.0/mlflow/runs/get")]
)
def test_a_server_answers_nobody_without_a_password(services: Services, name: str, path: str) -> None:
    address = {"prefect": services.prefect, "mlflow": services.mlflow}[name]
    call = httpx.post if name == "prefect" else httpx.get
    assert call(f"{address}{path}").status_code == 401
    assert call(f"{address}{path}", auth=("admin", "guessed")).status_code == 401
