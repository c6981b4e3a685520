"""A database that somebody else has locked, a clock set back, caches that two processes fill at once."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, TEMPORARILY_UNAVAILABLE

from components.config import load_tracking
from components.data.ingest import ingest
from components.data.samples import open_samples_table
from components.errors import ServiceError
from components.pipeline.preprocess import prepare
from components.storage.shards import ShardStore
from components.training.checkpoint import Epoch
from flows.run.folder import claim
from tasks.tracking import runs
from tasks.tracking.service import check_answers, service_errors
from tests.components.conftest import configure, write_manifest
from tests.forks import at_once


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with MLflow's database."""
    workspace = tmp_path_factory.mktemp("mlflow")
    runs.start_run(load_tracking(None, workspace), "first", "first", {})
    return workspace


def epoch(number: int) -> Epoch:
    return Epoch(number, 1.0 / (number + 1), 0.5, 0.5 + number / 10, 0.001, 2.0)


def test_a_database_that_is_locked_for_seconds_is_waited_for_and_has_everything_once(store: Path) -> None:
    at = load_tracking(None, store)
    run = runs.start_run(at, "locked", "locked", {})
    lock = sqlite3.connect(store / "mlflow.db", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN EXCLUSIVE")
    waited = 2.0
    began = time.monotonic()
    threading.Timer(waited, lambda: lock.execute("COMMIT")).start()
    runs.log_epoch(at, run, epoch(0), "accuracy")
    assert time.monotonic() - began > waited / 2, "it was not locked: this says nothing"
    runs.log_epoch(at, run, epoch(1), "accuracy")
    history = MlflowClient(str(at.tracking_uri)).get_metric_history(run, "train_loss")
    assert [metric.step for metric in history] == [0, 1]
    lock.close()


def test_one_that_stays_locked_is_a_service_that_is_gone_and_a_wrong_request_is_not() -> None:
    message = "(sqlite3.OperationalError) database is locked\n[SQL: INSERT INTO metrics ...]"
    with (
        pytest.raises(ServiceError, match=r"MLflow cannot be used: .*database is locked; finished"),
        service_errors(),
    ):
        raise MlflowException(message, error_code=TEMPORARILY_UNAVAILABLE)
    with pytest.raises(MlflowException, match="no such column"), service_errors():
        raise MlflowException("no such column", error_code=BAD_REQUEST)


def test_epochs_logged_by_a_clock_that_was_set_back_end_with_the_last_epoch(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = load_tracking(None, store)
    run = runs.start_run(at, "clock", "clock", {})
    now = time.time()
    for number, clock in enumerate((now, now - 86_400, now - 172_800)):
        monkeypatch.setattr(runs, "time", SimpleNamespace(time=lambda c=clock: c))
        runs.log_epoch(at, run, epoch(number), "accuracy")
    runs.log_final(at, run, {"val_accuracy": 0.7}, 3)
    client = MlflowClient(str(at.tracking_uri))
    assert client.get_run(run).data.metrics["train_loss"] == pytest.approx(1 / 3)
    assert client.get_run(run).data.metrics["val_accuracy"] == 0.7
    assert sorted(metric.step for metric in client.get_metric_history(run, "train_loss")) == [0, 1, 2]


def test_a_run_that_was_cut_off_before_the_clock_was_set_back_is_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(ServiceError), claim(tmp_path, "birds", "purpose", "flow-1") as record:  # noqa: PT012
        key = record.key
        raise ServiceError("gone")
    future = tmp_path / "runs" / key.replace("-20", "-29", 1)  # as of a clock that was ahead
    (tmp_path / "runs" / key).rename(future)
    values = json.loads((future / "run.json").read_text())
    (future / "run.json").write_text(json.dumps({**values, "key": future.name}))
    with claim(tmp_path, "birds", "purpose", "flow-2") as record:
        assert record.key == future.name
    with claim(tmp_path, "birds", "purpose", "flow-3") as record:
        assert record.key != future.name, "it is finished"


def prepare_photos(together: Callable[[], object], folder: Path, data: str) -> tuple[str, int, list[str]]:
    """Store, rows and digests of an input whose store other processes fill too."""
    config = configure()
    dataset = ingest(config, folder / data, folder)
    together()
    prepared = prepare(dataset, "photo", config.inputs["photo"], folder / "canonical", 8)
    return prepared.store, prepared.rows, list(open_samples_table(dataset).digests("photo")[1])


def test_two_processes_that_fill_one_store_at_once_leave_every_row(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    one, other = at_once(prepare_photos, [(tmp_path, name) for name in ("one", "two")])
    assert one == other
    folder = Path(one[0])
    assert not list(folder.glob("*.damaged"))
    assert not list(folder.glob(".*.tmp*"))
    keys = one[2]
    assert len(set(keys)) == 84  # of 96 rows, 12 have no image
    assert np.isfinite(ShardStore(folder, "arrow").stack(keys)).all()


def test_a_tracking_uri_that_is_no_server_is_not_asked_whether_it_answers() -> None:
    check_answers("sqlite:////nowhere/at/all.db")
