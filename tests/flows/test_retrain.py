"""Retrainings in the test's own process, in which optional steps fail."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner
from rich.console import Console

import tasks.measure
import tasks.report
from components.errors import ModelError
from flows.cli.json_output import outcome_json
from flows.cli.tables import show_outcome
from flows.retrain import Outcome, retrain
from tests.components.conftest import configure, write_manifest

CURVES = {"rows": 6, "severities": [5], "missing_rates": [0.5]}


class Project:
    """A pipeline file and a workspace."""

    def __init__(self, folder: Path) -> None:
        write_manifest(folder)
        evaluation = {"bootstrap": 100, "robustness": CURVES, "explanations": {"samples": 1}}
        training = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01, "folds": 0}
        config = configure(evaluation=evaluation, training=training, audit={"rows": 0})
        self.config, self.workspace = folder / "tiny.yaml", folder / "workspace"
        self.config.write_text(yaml.safe_dump(config.model_dump(mode="json")), "utf-8")

    def run(self, *overrides: str) -> Outcome:
        """Retrain in threads, where a patched component is seen."""
        in_threads = retrain.with_options(task_runner=ThreadPoolTaskRunner(max_workers=1))  # type: ignore[arg-type]
        return in_threads(self.config, overrides=overrides, workspace=self.workspace)

    @property
    def client(self) -> MlflowClient:
        uri = f"sqlite:///{self.workspace / 'mlflow.db'}"
        return MlflowClient(uri, uri)

    def champion(self) -> str:
        return str(self.client.get_model_version_by_alias("tiny", "champion").version)

    def terminal(self, outcome: Outcome) -> str:
        console = Console(file=io.StringIO(), width=200)
        show_outcome(console, outcome)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()


@pytest.fixture(scope="module")
def project(api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with temporary_settings({PREFECT_API_URL: api}):
        yield Project(tmp_path_factory.mktemp("retrain"))


def fail(*arguments: object, **named: object) -> None:
    raise ModelError("heat has no shape (4, 40)")


def artifact(key: str) -> str:
    """Content of the newest artifact with a key."""
    with get_client(sync_client=True) as client:
        only = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[key]))
        (newest,) = client.read_latest_artifacts(artifact_filter=only)
    return str(newest.data)


def test_what_fails_after_training_does_not_throw_the_training_away(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.measure, "explain_samples", fail)
    first = project.run()
    reason = "ModelError: heat has no shape (4, 40)"
    sentence = f"explain is missing, and the next run tries it again ({reason})."
    run = project.client.get_run(first.mlflow_run)
    assert run.info.status == "FINISHED"
    assert run.data.tags["braid.missing"] == f"explain: {reason}"
    assert first.registered.champion
    assert project.champion() == first.registered.version.version
    assert first.report is not None
    assert sentence in first.report.read_text("utf-8")
    assert sentence in project.terminal(first)
    assert json.loads(outcome_json(first))["missing"] == {"explain": reason}
    assert sentence in artifact("summary")
    assert sentence in artifact("missing")

    monkeypatch.undo()
    monkeypatch.setattr(tasks.measure, "measure_robustness", fail)
    monkeypatch.setattr(tasks.report, "write_report", fail)
    second = project.run()
    run = project.client.get_run(second.mlflow_run)
    assert run.info.status == "FINISHED"
    assert run.data.tags["braid.missing"] == f"robustness: {reason}\nreport: {reason}"
    assert [missing.step for missing in second.missing] == ["robustness", "report"], "explain was tried again"
    assert not second.registered.champion
    assert f"loss of robustness could not be measured (robustness: {reason})" in second.registered.reason
    assert project.champion() == first.registered.version.version
    assert second.report is None
    assert json.loads(outcome_json(second))["report"] is None
    assert "report        missing" in project.terminal(second)


def test_a_time_limit_is_kept_and_what_was_left_out_is_shown_everywhere(project: Project) -> None:
    endless = ["fit.epochs=100000", "fit.patience=null"]
    slow = [f"inputs.{name}.{option}" for name in ("photo", "note") for option in endless]
    started = time.monotonic()
    outcome = project.run("time_limit=15s", "evaluation.robustness.rows=0", *slow)
    assert time.monotonic() - started < 15 * 1.1 + 20
    shown = {each.step: each.reason for each in outcome.missing}
    assert {"photo", "note"} <= set(shown)
    assert json.loads(outcome_json(outcome))["missing"] == shown
    sentence = f"note was left out in part or whole: {shown['note']}."
    assert sentence in " ".join(project.terminal(outcome).split())
    assert f"note: {shown['note']}" in project.client.get_run(outcome.mlflow_run).data.tags["braid.missing"]
    assert outcome.report is not None
    assert shown["note"] in outcome.report.read_text("utf-8")
