"""A sweep as a user runs it: killed half way, gone on with, and once more over the same data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.acceptance.e2e.project import PIPELINE, Project, make_project

pytestmark = pytest.mark.e2e
SWEEP: dict[str, Any] = {
    "name": "compare",
    "pipelines": ["tiny.yaml"],
    "fusions": ["concat", "gated"],
    "seeds": [0],
    "search": {
        "trials": 2,
        "space": {
            "fusion.width": {"low": 8, "high": 32, "step": 8},
            "fusion.layers": {"choices": [1, 2]},
            "training.learning_rate": {"low": 0.002, "high": 0.02, "log": True},
        },
    },
    "pruning": True,
    "budget": 2000,
}
TRIALS, BUDGET = 6, 2  # two fusions with the defaults and two searched trials; each again at the budget


def sweep(project: Project, *arguments: str) -> dict[str, Any]:
    return project.json("sweep", str(project.folder / "compare.yaml"), *arguments)


def kill_after(project: Project, trials: int) -> None:
    """Start the sweep and kill it with its workers' parent once so many trials have been told."""
    process = subprocess.Popen(
        project.command("sweep", str(project.folder / "compare.yaml")),
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and finished_trials(project) < trials:
        time.sleep(0.02)
    assert process.poll() is None, "the sweep ended before it could be killed"
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def finished_trials(project: Project) -> int:
    for file in (project.workspace / "runs").glob("*/progress/trials-tiny.json"):
        return json.loads(file.read_text())["done"]
    return 0


def trial_runs(project: Project, sweep_run: str) -> list[Run]:
    client = MlflowClient(project.tracking_uri)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return [
        run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == sweep_run and run.data.tags["kind"] == "trial"
    ]


def states(project: Project, key: str) -> Counter[str]:
    """Number of trials of all studies per state."""
    storage = f"sqlite:///{project.workspace / 'runs' / key / 'studies.db'}"
    studies = [
        optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)
    ]
    return Counter(trial.state.name for study in studies for trial in study.trials)


def write_project(folder: Path, api: str) -> Project:
    training = {"epochs": 6, "batch_size": 16, "learning_rate": 0.01, "folds": 0}
    evaluation = {**PIPELINE["evaluation"], "worst_samples": 0}
    project = make_project(folder, api=api, training=training, evaluation=evaluation)
    (project.folder / "compare.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    return project


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, api: str) -> tuple[Project, dict[str, Any]]:
    """A project and what a sweep over it gave."""
    project = write_project(tmp_path_factory.mktemp("sweep"), api)
    return project, sweep(project)


def assert_no_trial_is_missing_or_made_twice(project: Project, result: dict[str, Any]) -> None:
    assert result["trials"] == TRIALS
    counts = states(project, result["run"])
    assert counts["COMPLETE"] + counts["PRUNED"] == sum(counts.values()) == TRIALS
    runs = trial_runs(project, result["mlflow_run"])
    parts = [run.data.tags["braid.part"] for run in runs]
    assert len(parts) == len(set(parts)) == TRIALS + BUDGET
    assert {run.info.status for run in runs} == {"FINISHED"}
    client = MlflowClient(project.tracking_uri)
    for run in runs:
        steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "train_loss")]
        assert steps == list(range(6))


def test_every_trial_is_made_and_logged_once(done: tuple[Project, dict[str, Any]]) -> None:
    assert_no_trial_is_missing_or_made_twice(*done)


def without_seconds(result: Any) -> Any:
    """A result without the durations in it, which differ from run to run."""
    if isinstance(result, dict):
        return {name: without_seconds(value) for name, value in result.items() if name != "seconds"}
    return [without_seconds(value) for value in result] if isinstance(result, list) else result


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_makes_no_trial_twice(
    tmp_path: Path, api: str, done: tuple[Project, dict[str, Any]]
) -> None:
    project = write_project(tmp_path, api)
    kill_after(project, 1)
    assert 0 < finished_trials(project) < TRIALS
    result = sweep(project)
    assert len(list((project.workspace / "runs").glob("compare-*"))) == 1
    assert_no_trial_is_missing_or_made_twice(project, result)
    assert result["extracted_rows"] == {"tiny": 0}, "extraction was done before the kill"
    same = without_seconds(result["rankings"]) == without_seconds(done[1]["rankings"])
    assert same, "undisturbed, it makes the same trials"


def test_the_ranking_has_fusions_and_what_they_have_to_beat(done: tuple[Project, dict[str, Any]]) -> None:
    _, result = done
    ranking = result["rankings"]["tiny"]
    kinds = [(row["model"], row["kind"]) for row in ranking["rows"]]
    assert set(kinds[:2]) == {("concat", "fusion"), ("gated", "fusion")}
    assert kinds[2:] == [
        ("picture", "single"),
        ("sound", "single"),
        ("words", "single"),
        ("average", "average"),
        ("late", "late"),
        ("ensemble", "ensemble"),
        ("product rule", "ideal"),
        ("delivered", "delivered"),
    ]
    rows = {row["model"]: row for row in ranking["rows"]}
    assert ranking["winner"] == ranking["rows"][0]["model"]
    assert ranking["rows"][0]["val"] >= ranking["rows"][1]["val"]
    assert rows[ranking["best_single"]]["gain"] == {"value": 0, "low": 0, "high": 0, "p_value": 1}
    assert rows["product rule"]["test"]["value"] > rows[ranking["best_single"]]["test"]["value"]
    assert rows["delivered"]["gain"]["low"] > 0
    for row in rows.values():
        assert row["test"]["low"] <= row["test"]["value"] <= row["test"]["high"]
    for row in ranking["matched"]:
        assert abs(row["parameters"] - 2000) < 100


def test_trials_read_alike_in_the_compare_view(done: tuple[Project, dict[str, Any]]) -> None:
    project, result = done
    for run in trial_runs(project, result["mlflow_run"]):
        params, metrics = run.data.params, run.data.metrics
        assert {"fusion.name", "fusion.width", "training.learning_rate", "seed"} <= set(params)
        assert params["fusion.name"] == run.data.tags["fusion"]
        assert run.data.tags["config"] == "tiny"
        history = MlflowClient(project.tracking_uri).get_metric_history(run.info.run_id, "val_accuracy")
        assert metrics["val_accuracy"] == max(metric.value for metric in history), "not of the last one"
        if run.data.tags["status"] == "finished":
            assert {"parameters", "seconds"} <= set(metrics)
        judged = "selected" in run.data.tags or "budget" in run.data.tags
        assert ("test_accuracy" in metrics) == judged, "test is looked at for what was chosen alone"
    client = MlflowClient(project.tracking_uri)
    parent = client.get_run(result["mlflow_run"])
    assert parent.data.tags["winner.tiny"] == result["rankings"]["tiny"]["winner"]
    paths = {
        Path(file.path).name
        for folder in (None, "tables", "figures")
        for file in client.list_artifacts(result["mlflow_run"], folder)
    }
    assert {"ranking_tiny.md", "ranking_tiny.json", "ranking_tiny.png", "budget_tiny.json"} <= paths


def test_the_winner_is_registered(done: tuple[Project, dict[str, Any]]) -> None:
    project, result = done
    registered, ranking = result["registered"]["tiny"], result["rankings"]["tiny"]
    client = MlflowClient(project.tracking_uri, project.tracking_uri)
    assert [str(each.version) for each in client.search_model_versions("name = 'tiny'")] == ["1"]
    params = client.get_run(registered["mlflow_run"]).data.params
    assert params["fusion.name"] == ranking["winner"]
    assert {name: params[name] for name in ranking["params"]} == {
        name: str(value) for name, value in ranking["params"].items()
    }
    delivered = next(row for row in ranking["rows"] if row["model"] == "delivered")
    metrics = client.get_run(registered["mlflow_run"]).data.metrics
    assert metrics["test_accuracy"] == pytest.approx(delivered["test"]["value"])


@pytest.mark.slow
def test_the_same_sweep_again_extracts_nothing_and_ends_alike(
    done: tuple[Project, dict[str, Any]],
) -> None:
    project, result = done
    again = sweep(project, "--set", "register_winner=false")
    assert again["mlflow_run"] != result["mlflow_run"]
    assert again["extracted_rows"] == {"tiny": 0}
    assert again["registered"] == {}
    assert again["rankings"] == result["rankings"], "undisturbed, it makes the same trials"
