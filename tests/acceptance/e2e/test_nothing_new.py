"""A run that would repeat the last one ends after a look; conditions of schedules hold or do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from components.config import PipelineConfig, TrackingConfig, load_pipeline, load_tracking
from components.config.when import When
from components.data.ingest import ingest
from components.pipeline.basis import basis_of
from components.references import LeftOut, Missing
from tasks.look import conditions, news_since
from tasks.tracking import registry, runs
from tests.acceptance.e2e.project import Project
from tests.prefect_api import signed_in

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def client(project: Project) -> MlflowClient:
    return MlflowClient(project.tracking_uri, project.tracking_uri)


@pytest.fixture(scope="module")
def looked(project: Project, first_run: dict[str, Any], client: MlflowClient) -> dict[str, Any]:
    """The result of the same command again; the registry is as it was."""
    before = client.get_registered_model("tiny").tags
    result = project.run()
    assert client.get_registered_model("tiny").tags == before, "no test budget is spent"
    return result


def test_the_same_run_again_ends_without_training(
    project: Project, first_run: dict[str, Any], looked: dict[str, Any], client: MlflowClient
) -> None:
    assert looked["retrained"] is False
    assert looked["since"] == first_run["run"]
    assert looked["model"] == {**first_run["model"], "run": first_run["mlflow_run"]}
    assert looked["promotion"] == first_run["promotion"]
    assert looked["reason"].startswith(f"nothing new since run {first_run['run']}")
    assert len(client.search_model_versions("name = 'tiny'")) == 1
    run = client.get_run(looked["mlflow_run"])
    assert (run.info.status, run.data.tags["kind"]) == ("FINISHED", "look")
    assert not run.data.metrics.keys() & {"test_accuracy"}
    assert list((project.workspace / "runs" / looked["run"]).glob("*.parquet")) == []


def test_prefect_says_why_the_run_has_ended(api: str, looked: dict[str, Any], client: MlflowClient) -> None:
    number = client.get_run(looked["mlflow_run"]).data.tags["prefect_flow_run"]
    with signed_in(api) as prefect:
        state = prefect.get(f"/flow_runs/{number}").json()["state"]
    assert (state["type"], state["name"]) == ("COMPLETED", "Completed")
    assert state["message"].startswith(looked["reason"])


def test_a_person_sees_the_reason_and_how_to_run_in_any_case(
    project: Project, first_run: dict[str, Any], looked: dict[str, Any]
) -> None:
    done = project.inside("run", str(project.config))
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    assert f"nothing new since run {first_run['run']}" in shown
    assert "braid run --again" in shown
    last = runs.find_run(load_tracking(None, project.workspace), "last")
    assert last is not None
    assert last.info.run_id == first_run["mlflow_run"], "a look is no retraining"


@pytest.fixture(scope="module")
def later(project: Project, first_run: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Later:
    return Later(project, tmp_path_factory.mktemp("later"))


class Later:
    """The project's data with four more rows, of which three are to learn from; and its last run."""

    def __init__(self, project: Project, folder: Path) -> None:
        rows = pd.read_csv(project.folder / "manifest.csv")
        more = rows.tail(4).assign(
            id=[f"more-{row}" for row in range(4)], split=["train", "train", "val", "test"]
        )
        pd.concat([rows, more]).to_csv(project.folder / "more.csv", index=False)
        self.config = load_pipeline(project.config, ["data.source=more.csv"])
        self.dataset = ingest(self.config, folder, project.folder)
        self.at: TrackingConfig = load_tracking(None, project.workspace)
        last = runs.last_retraining(self.at, "tiny")
        assert last is not None
        self.last: Run = last
        version = registry.find(self.at, f"models:/{last.data.tags[runs.VERSION_TAG]}")
        assert version is not None
        self.version = version

    def conditions(self, when: When) -> tuple[list[str], list[str]]:
        return conditions(self.at, self.config, self.dataset, when, self.last, self.version)

    def news(self, config: PipelineConfig) -> list[str]:
        basis = basis_of(self.dataset, config)
        return list(news_since(self.at, config, basis, self.last, self.version))


def test_new_rows_are_counted_from_what_the_last_version_has_learned(later: Later) -> None:
    assert later.conditions(When(new_rows=3)) == (["3 new rows (new_rows: 3)"], [])
    assert later.conditions(When(new_rows=4)) == ([], ["3 new rows (new_rows: 4)"])


def test_age_and_drift_count_from_the_last_run(later: Later, client: MlflowClient) -> None:
    held, failed = later.conditions(When(drift=True, max_age="30d"))
    assert held == []
    assert failed[0] == "no drift found (drift: true)"
    assert failed[1].endswith("hours old (max_age: 30d)")
    assert later.conditions(When(max_age="0.00001h"))[1] == []
    tags = {"kind": "monitor", "model_name": "tiny", "drift": "yes"}
    runs.end_run(later.at, runs.start_run(later.at, "monitor-1", "monitor-1", tags), "FINISHED")
    assert later.conditions(When(drift=True)) == (["drift found (drift: true)"], [])


def test_what_the_last_run_lacks_and_another_champion_are_news(
    later: Later, client: MlflowClient, looked: dict[str, Any]
) -> None:
    assert later.news(later.config) == ["data"]
    other = later.config.model_copy(update={"seed": 5})
    assert later.news(other) == ["data", "settings"]
    client.delete_registered_model_alias("tiny", "champion")
    assert later.news(later.config) == ["data", "there is no champion"]
    client.set_registered_model_alias("tiny", "champion", later.version.version)
    run = later.last.info.run_id
    for missing, news in (
        (LeftOut("photo", "photo adds nothing to the other inputs"), []),
        (Missing("explain", "OSError: no room"), ["steps that failed"]),
    ):
        runs.tag_missing(later.at, run, [missing])
        later.last = runs.get_run(later.at, run)
        assert later.news(later.config) == ["data", *news]
    runs.tag_missing(later.at, run, [])
    tags = runs.get_run(later.at, run).data.tags
    assert not {runs.MISSING_TAG, runs.FAILED_TAG} & set(tags)
