"""A trained model teaches students that have fewer inputs."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from tests.acceptance.e2e.project import Project, make_project, predicted
from tests.acceptance.e2e.test_retrain import runs_of
from tests.acceptance.faults.kills import signal_at

pytestmark = pytest.mark.e2e
FILE: dict[str, Any] = {
    "name": "lesson",
    "pipeline": "tiny.yaml",
    "students": {
        "hint": {"inputs": ["words"], "changes": {"training.folds": 0}},
        "both": {
            "inputs": ["picture", "sound"],
            "changes": {"fusion.width": 8, "training.epochs": 5, "training.folds": 0},
            "objective": {"soft": {"weight": 0.3}, "feature": 0.1, "relational": {"distance": 0.1}},
        },
    },
    "seeds": [0, 1],
    "register_students": True,
}


def distill(project: Project, *arguments: str) -> dict[str, Any]:
    return project.json("distill", str(project.folder / "lesson.yaml"), *arguments)


@pytest.fixture(scope="module")
def distilled(project: Project) -> dict[str, Any]:
    """Students of the project's champion."""
    (project.folder / "lesson.yaml").write_text(yaml.safe_dump(FILE))
    return distill(project)


def test_each_student_has_a_gain_with_both_intervals(distilled: dict[str, Any]) -> None:
    assert set(distilled["students"]) == {"hint", "both"}
    for student in distilled["students"].values():
        gains = [seed["gain"]["value"] for seed in student["seeds"]]
        assert student["gain"]["value"] == pytest.approx(sum(gains) / 2, abs=1e-12)
        assert student["gain"]["value"] == pytest.approx(
            student["with_teacher"] - student["alone"], abs=1e-12
        )
        assert student["gain"]["low"] <= student["gain"]["value"] <= student["gain"]["high"]
        assert student["gain_over_seeds"]["low"] <= student["gain_over_seeds"]["high"]
        assert student["helps"] in {"yes", "no", "unclear"}


def test_the_teacher_is_the_champion_on_the_same_rows(
    distilled: dict[str, Any], first_run: dict[str, Any]
) -> None:
    assert distilled["teacher_inputs"] == ["picture", "sound", "words"]
    # the champion reads the files again and gives what the run's own evaluation found
    assert distilled["teacher"]["value"] == pytest.approx(first_run["test"]["accuracy"]["value"], abs=1e-9)
    assert distilled["teacher_rows_answered"] > 0


def test_alone_is_the_fit_of_the_pipeline_itself(
    distilled: dict[str, Any], first_run: dict[str, Any]
) -> None:
    (seed,) = (seed for seed in distilled["students"]["hint"]["seeds"] if seed["seed"] == 0)
    assert seed["alone"]["value"] == first_run["candidates"]["words"]["test"]["value"]


def test_mlflow_has_nested_runs_with_curves_and_the_metrics_of_every_model(
    project: Project, distilled: dict[str, Any]
) -> None:
    parents, nested = runs_of(project)
    parent = next(run for run in parents if run.info.run_id == distilled["mlflow_run"])
    assert parent.data.tags["kind"] == "distill"
    assert parent.data.metrics["hint_gain"] == distilled["students"]["hint"]["gain"]["value"]
    own = [run for run in nested if run.data.tags["mlflow.parentRunId"] == parent.info.run_id]
    parts = {f"{name} seed {seed}" for name in ("hint", "both") for seed in (0, 1)}
    assert {run.data.tags["braid.part"] for run in own} == {
        f"{part} {kind}" for part in parts for kind in ("alone", "with teacher")
    }
    client = MlflowClient(project.tracking_uri)
    for run in own:
        assert run.info.status == "FINISHED"
        assert "test_accuracy" in run.data.metrics
        history = client.get_metric_history(run.info.run_id, "val_loss")
        assert [metric.step for metric in history] == list(range(len(history)))
    names = {Path(file.path).name for file in client.list_artifacts(distilled["mlflow_run"], "tables")}
    assert {"distillation.json", "distillation_seeds.json"} <= names


def test_a_student_is_served_with_its_own_input(project: Project, distilled: dict[str, Any]) -> None:
    assert distilled["models"]["hint"]["champion"]
    scored = predicted(project, "lesson-hint", pd.DataFrame({"words": ["something about the cat maybe"]}))
    assert scored[["label", "inputs"]].to_numpy().tolist() == [["cat", "words"]]
    signature = mlflow.pyfunc.load_model("models:/lesson-hint@champion").metadata.signature
    assert [column.name for column in signature.inputs] == ["words"]


@pytest.mark.slow
def test_a_killed_run_goes_on_and_trains_only_what_is_missing(
    project: Project, distilled: dict[str, Any]
) -> None:
    made = (project.workspace / "cache" / "trainings").glob("**/done.json")
    trainings = sorted(
        (file.parent for file in made), key=lambda folder: (folder / "done.json").stat().st_mtime
    )
    unharmed, lost = trainings[:-5], trainings[-5:]
    for folder in lost:
        shutil.rmtree(folder)
    before = times(unharmed)
    options = ("--set", "register_students=false")
    command = ("distill", str(project.folder / "lesson.yaml"), *options)
    assert signal_at(project, "fit-both-seed-0-with-teacher", signal.SIGKILL, command) == -signal.SIGKILL
    (cut_off,) = unfinished_runs(project)

    again = distill(project, *options)
    assert again["run"] == cut_off
    assert again["students"] == distilled["students"], "as in an undisturbed run"
    assert again["teacher_rows_answered"] == 0
    assert times(unharmed) == before
    assert all((folder / "done.json").exists() for folder in lost)
    parents, nested = runs_of(project)
    (parent,) = [run for run in parents if run.data.tags["braid.key"] == cut_off]
    assert (parent.info.run_id, parent.info.status) == (again["mlflow_run"], "FINISHED")
    own = [run for run in nested if run.data.tags["mlflow.parentRunId"] == parent.info.run_id]
    assert len({run.data.tags["braid.part"] for run in own}) == len(own) == 8
    assert {run.info.status for run in own} == {"FINISHED"}
    client = MlflowClient(project.tracking_uri)
    for run in own:
        for name in ("train_loss", "val_loss", "test_accuracy"):
            steps = [metric.step for metric in client.get_metric_history(run.info.run_id, name)]
            assert steps == list(range(len(steps))), f"{run.info.run_name}: {name} at {steps}"
            assert steps


def times(folders: list[Path]) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*.safetensors")}


def unfinished_runs(project: Project) -> list[str]:
    records = [json.loads(file.read_text()) for file in (project.workspace / "runs").glob("*/run.json")]
    return [record["key"] for record in records if record["status"] == "running"]


def test_without_a_champion_the_command_that_makes_one_is_told(tmp_path: Path, api: str) -> None:
    project = make_project(tmp_path, rows=40, api=api)
    alone = {**FILE, "students": {"hint": {"inputs": ["words"]}}}
    (tmp_path / "lesson.yaml").write_text(yaml.safe_dump(alone))
    done = project.inside("distill", str(tmp_path / "lesson.yaml"))
    assert done.exit_code == 4
    assert f"braid run {tmp_path / 'tiny.yaml'} --workspace {project.workspace}" in done.stderr


def test_rows_keep_their_predictions(project: Project, distilled: dict[str, Any]) -> None:
    folder = project.workspace / "runs" / distilled["run"] / "students" / "hint-seed-1-with-teacher"
    table = pd.read_parquet(folder / "predictions.parquet")
    assert len(table) == distilled["rows"]
    assert (folder / "bundle" / "model.json").exists()
