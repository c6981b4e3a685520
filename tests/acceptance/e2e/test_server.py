"""A run in the dashboard's API: names and artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from mlflow import MlflowClient

from components.models.weights import read_tensors
from tests.acceptance.e2e.project import PIPELINE, Project
from tests.prefect_api import signed_in

pytestmark = pytest.mark.e2e
SLOW = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-7}
CHANGES: dict[str, Any] = {
    "seed": 1,
    "inputs": {**PIPELINE["inputs"], "words": {**PIPELINE["inputs"]["words"], "fit": SLOW}},
    "alignment": {
        "use": "pretraining",
        "objective": {"name": "clip", "positives": "class"},
        "width": 8,
        "hidden": 16,
        "training": {"epochs": 10, "batch_size": 64, "learning_rate": 0.01},
    },
}


@pytest.fixture(scope="module")
def outcome(project: Project) -> dict[str, Any]:
    """Result of a run that trains everything anew, and encoders across inputs before their fits."""
    (project.folder / "served.yaml").write_text(yaml.safe_dump({**PIPELINE, **CHANGES}, sort_keys=False))
    return project.json("run", str(project.folder / "served.yaml"))


def test_a_run_shows_names_and_artifacts(project: Project, outcome: dict[str, Any], api: str) -> None:
    client = signed_in(api)
    named = {"flow_runs": {"name": {"like_": "served "}}}
    (flow_run,) = client.post("/flow_runs/filter", json=named).json()
    assert flow_run["name"].startswith("served 20")
    assert flow_run["state_name"] == "Completed"
    task_runs = client.post("/task_runs/filter", json=named).json()
    names = {run["name"] for run in task_runs}
    assert {"ingest", "preprocess picture", "fit sound", "extract words", "train fusion", "evaluate"} <= names
    assert {run["state_name"] for run in task_runs} == {"Completed"}

    artifacts = client.post("/artifacts/filter", json=named).json()
    by_key = {artifact["key"]: artifact for artifact in artifacts if artifact["key"]}
    keys = {"summary", "results", "subsets", "quarantine", "promotion", "report", "mlflow-run"}
    assert keys <= set(by_key)
    assert Path(outcome["report"]).as_uri() in by_key["report"]["data"]
    reason = by_key["promotion"]["description"] or by_key["promotion"]["data"]
    assert outcome["promotion"] in reason.translate(str.maketrans("［］", "[]")), "no link can be made of it"
    tables = [artifact for artifact in artifacts if artifact["type"] == "table"]
    assert [table["key"] for table in tables if not table["description"]] == []
    assert "Fusion helps" in by_key["summary"]["data"]
    assert str(outcome["mlflow_run"]) in str(by_key["mlflow-run"]["data"])
    note = MlflowClient(project.tracking_uri).get_run(outcome["mlflow_run"]).data.tags["mlflow.note.content"]
    assert f"[Prefect flow run]({api.removesuffix('/api')}/" in note
    assert flow_run["id"] in note
    progress = [artifact for artifact in artifacts if artifact["type"] == "progress"]
    assert progress
    assert all(artifact["data"] == 100.0 for artifact in progress)


def test_fits_go_on_from_encoders_that_were_aligned(project: Project, outcome: dict[str, Any]) -> None:
    client = MlflowClient(project.tracking_uri)
    parent = client.get_run(outcome["mlflow_run"])
    assert parent.data.params["alignment.use"] == "pretraining"
    history = client.get_metric_history(part(client, outcome, "pretraining"), "val_mean_average_precision")
    *epochs, best = history
    assert [metric.step for metric in history] == list(range(11))
    assert best.value == max(metric.value for metric in epochs) > epochs[0].value
    trainings = project.workspace / "cache" / "trainings"
    (pretraining,) = trainings.glob("pretraining-*/best.safetensors")
    words = max(trainings.glob("words-*/best.safetensors"), key=lambda file: file.stat().st_mtime)
    fitted = read_tensors(words, "encoder.")
    for name, aligned in read_tensors(pretraining, "encoders.words.").items():
        # its one epoch has a rate at which no weight moves further than a few times 1e-7
        torch.testing.assert_close(fitted[name], aligned, rtol=0, atol=1e-5)
    for way in ("picture_to_words", "words_to_picture", "sound_to_words", "words_to_sound"):
        recall = f"retrieval_{way}_class_recall_1"
        assert parent.data.metrics[recall] > parent.data.metrics[f"{recall}_chance"] + 0.05
    assert "Search across inputs" in Path(outcome["report"]).read_text("utf-8")


def part(client: MlflowClient, run: dict[str, Any], name: str) -> str:
    """Id of the nested MLflow run of one part."""
    experiment = client.get_run(run["mlflow_run"]).info.experiment_id
    own = f"tags.`mlflow.parentRunId` = '{run['mlflow_run']}' and tags.`braid.part` = '{name}'"
    (nested,) = client.search_runs([experiment], own)
    return nested.info.run_id
