"""MLflow's server down at start, gone in the middle, slow, and answering 500 to what it has done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from components.config import TrackingConfig, load_tracking
from components.errors import ServiceError
from components.training.checkpoint import Epoch
from flows.servers.processes import mlflow_server, port_near
from tasks.tracking import registry, runs, service
from tasks.tracking.service import service_errors
from tests.acceptance.faults.proxy import Proxy, proxy

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real server."""
    workspace = tmp_path_factory.mktemp("mlflow")
    at = load_tracking(None, workspace)
    with mlflow_server(workspace, at, port_near(0)) as running:
        yield running.address


@pytest.fixture
def before(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before it; MLflow's client asks again after no more than a moment, three times in all."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    with proxy(server) as made:
        yield made


def tracking(address: str, experiment: str) -> TrackingConfig:
    return TrackingConfig(tracking_uri=address, experiment=experiment, system_metrics=False)


def log_a_run(at: TrackingConfig, key: str) -> tuple[str, str]:
    """A run with a part of two epochs and a final metric, as a retraining logs them."""
    run = runs.start_run(at, key, key, {"kind": "retrain"})
    part = runs.nested_run(at, run, "image", {"kind": "single"})
    for number in (0, 1):
        runs.log_epoch(at, part, Epoch(number, 0.5, 0.5, 0.8, 0.001, 2.0), "accuracy")
    runs.log_metrics(at, run, {"test_accuracy": 0.75})
    runs.log_text(at, run, "name: tiny", runs.CONFIG)
    runs.end_run(at, part, "FINISHED")
    runs.end_run(at, run, "FINISHED")
    return run, part


def assert_logged_once(at: TrackingConfig, run: str, part: str) -> None:
    client = MlflowClient(at.tracking_uri)
    experiment = client.get_experiment_by_name(at.experiment)
    assert experiment is not None
    logged = client.search_runs([experiment.experiment_id])
    assert {each.info.run_id for each in logged} == {run, part}
    assert {each.info.status for each in logged} == {"FINISHED"}
    steps = [metric.step for metric in client.get_metric_history(part, "train_loss")]
    assert steps == [0, 1]
    assert [metric.value for metric in client.get_metric_history(run, "test_accuracy")] == [0.75]
    assert [file.path for file in client.list_artifacts(run)] == [runs.CONFIG]


@pytest.mark.parametrize(
    ("trouble", "value"), [("delay", 0.1), ("refuses", 1), ("loses", 1)], ids=["slow", "500", "answer lost"]
)
def test_a_server_in_trouble_has_everything_once(
    before: Proxy, server: str, trouble: str, value: float
) -> None:
    setattr(before, trouble, value)
    run, part = log_a_run(tracking(before.address, trouble), f"birds-{trouble}")
    assert_logged_once(tracking(server, trouble), run, part)
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name(trouble)
    assert experiment is not None
    twins = client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert len(twins) == (2 if trouble == "loses" else 0)


def test_a_version_is_registered_once_also_where_the_answer_is_lost(before: Proxy, server: str) -> None:
    at = tracking(before.address, "versions")
    run = runs.start_run(at, "birds-v", "birds-v", {})
    client = runs.connect(at)
    client.create_registered_model("birds")
    for _ in range(2):  # as of a request that was made twice
        client.create_model_version("birds", f"runs:/{run}/model", run)
    assert registry._own_version(client, "birds", run) == "1"
    assert registry.versions(at, "birds") == ["1"]


def test_a_server_that_is_down_at_start_is_told_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_PAUSE", 0.1)
    at = tracking(f"http://me:hunter2@127.0.0.1:{port_near(0)}", "down")
    began = time.monotonic()
    with pytest.raises(ServiceError, match=r"at http://127.* start it, or name another") as raised:
        runs.start_run(at, "birds-1", "birds-1", {})
    assert "hunter2" not in str(raised.value)
    assert time.monotonic() - began < 10


def test_a_server_that_goes_in_the_middle_leaves_a_run_that_is_gone_on_with(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    with proxy(server) as first:
        at = tracking(first.address, "gone")
        port = int(first.address.rpartition(":")[2])
        run = runs.start_run(at, "birds-g", "birds-g", {"kind": "retrain"})
    with (
        pytest.raises(ServiceError, match=r"MLflow cannot be used: API request to .*resumes"),
        service_errors(),
    ):
        runs.nested_run(at, run, "image", {})
    with proxy(server, port):
        again, part = log_a_run(at, "birds-g")
    assert again == run
    assert_logged_once(tracking(server, "gone"), run, part)


def test_what_mlflow_refuses_for_good_is_not_taken_for_a_server_that_is_gone(server: str) -> None:
    with pytest.raises(MlflowException, match=r"Run .* not found"), service_errors():
        runs.get_run(tracking(server, "refused"), "0" * 32)
