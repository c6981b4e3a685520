"""`braid reproduce`: a run repeated from what MLflow has of it, and compared to the last bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.acceptance.e2e.project import Project, make_project
from tests.acceptance.e2e.test_retrain import runs_of

pytestmark = pytest.mark.e2e
DIFFERENT, DATA, MODEL = 7, 3, 4


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, api: str) -> tuple[Project, dict[str, Any]]:
    """A project with one run."""
    project = make_project(tmp_path_factory.mktemp("reproduced"), 120, api, training={"epochs": 4}, audit={})
    return project, project.run("--set", "fusion.width=24")


@pytest.mark.slow
def test_the_same_settings_and_data_give_the_same_bits(done: tuple[Project, dict[str, Any]]) -> None:
    project, first = done
    elsewhere = {"MLFLOW_TRACKING_URI": project.tracking_uri}  # as of a team that has set it
    result = project.json("reproduce", "last", **elsewhere)
    assert result["differences"] == []
    assert result["run"] == first["mlflow_run"]
    assert result["same_results"]
    # every epoch of four trainings has at least its two losses, its metric and its rate
    assert result["metrics_compared"] > 4 * 4 * 4
    repetition = Path(result["workspace"])
    assert any((repetition / "cache" / "trainings").iterdir()), "it was trained, not found"
    own = MlflowClient(f"sqlite:///{repetition / 'mlflow.db'}")
    run, original = own.get_run(result["again"]), runs_of(project)[0][0]
    assert run.data.tags["model_digest"] == original.data.tags["model_digest"]
    assert run.data.params["fusion.width"] == "24"


@pytest.mark.slow
def test_nothing_of_it_is_in_the_registry_or_among_the_runs_of_the_team(
    done: tuple[Project, dict[str, Any]],
) -> None:
    project, first = done
    parents, _ = runs_of(project)
    assert [run.info.run_id for run in parents] == [first["mlflow_run"]]
    assert len(MlflowClient(project.tracking_uri).search_model_versions("name = 'tiny'")) == 1


@pytest.mark.slow
def test_another_seed_is_told_with_what_it_changes(done: tuple[Project, dict[str, Any]]) -> None:
    project, first = done
    again = project.inside("reproduce", first["run"], "--set", "seed=1", "--json")
    assert again.exit_code == DIFFERENT, again.output
    result = json.loads(again.stdout)
    assert not result["same_results"]
    kinds = {difference["part"] for difference in result["differences"]}
    assert kinds == {"settings", "model", "metric"}
    (setting,) = (each for each in result["differences"] if each["part"] == "settings")
    assert (setting["name"], setting["then"], setting["now"]) == ("seed", 0, 1)


def test_a_change_in_the_data_is_told_before_anything_is_trained(
    project: Project, first_run: dict[str, Any]
) -> None:
    manifest = project.folder / "manifest.csv"
    whole = manifest.read_text("utf-8")
    try:
        manifest.write_text("\n".join(whole.splitlines()[:-1]) + "\n", "utf-8")
        again = project.inside("reproduce", first_run["mlflow_run"])
        assert again.exit_code == DATA
        assert "was of other data" in again.stderr
        assert "rows 240 then, 239 now" in again.stderr
        manifest.unlink()
        again = project.inside("reproduce", first_run["mlflow_run"])
        assert again.exit_code == DATA
        assert "cannot be read any more: data.source: there is no manifest.csv" in again.stderr
    finally:
        manifest.write_text(whole, "utf-8")


def test_a_run_that_lacks_what_it_would_be_repeated_from_says_what(
    project: Project, first_run: dict[str, Any]
) -> None:
    artifacts = MlflowClient(project.tracking_uri).get_run(first_run["mlflow_run"]).info.artifact_uri
    file = Path(str(artifacts).removeprefix("file://")) / "environment.json"
    assert file.is_relative_to(project.folder)
    aside = shutil.move(file, project.folder / "aside.json")
    try:
        again = project.inside("reproduce", first_run["mlflow_run"])
        assert again.exit_code == MODEL
        assert "it lacks environment.json" in again.stderr
        assert project.inside("reproduce", "nobody").exit_code == MODEL
    finally:
        shutil.move(aside, file)
