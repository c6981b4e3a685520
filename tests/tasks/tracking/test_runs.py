"""Records in MLflow: each is logged once, whatever is retried or resumed. On a real SQLite store."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient

from components.config import TrackingConfig, load_tracking
from components.storage.names import outside_name
from components.training.checkpoint import Epoch
from tasks.tracking import runs
from tasks.tracking.views import VIEWS


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace; making its database takes seconds, so tests share it and take an experiment each."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def at(store: Path, request: pytest.FixtureRequest) -> TrackingConfig:
    config = load_tracking(None, store)
    return config.model_copy(update={"experiment": request.node.name, "tags": {"team": "nature"}})


@pytest.fixture
def client(at: TrackingConfig) -> MlflowClient:
    return runs.connect(at)


@pytest.fixture
def run(at: TrackingConfig) -> str:
    return runs.start_run(at, "birds-1", "birds-1", {"kind": "retrain"})


def epoch(number: int) -> Epoch:
    return Epoch(number, 1.0 / (number + 1), 0.5, 0.8, 0.001, 2.0)


class TestRuns:
    def test_a_run_is_found_again_by_its_key(
        self, at: TrackingConfig, client: MlflowClient, run: str
    ) -> None:
        runs.end_run(at, run, "FAILED")
        assert runs.start_run(at, "birds-1", "birds-1", {"kind": "again"}) == run
        result = client.get_run(run)
        assert result.info.status == "RUNNING"
        assert result.data.tags["kind"] == "again"
        assert result.data.tags["team"] == "nature"
        experiment = client.get_experiment_by_name(at.experiment)
        assert experiment is not None
        assert len(client.search_runs([experiment.experiment_id])) == 1

    def test_another_key_is_another_run(self, at: TrackingConfig, run: str) -> None:
        assert runs.start_run(at, "birds-2", "birds-2", {}) != run

    def test_its_end_is_recorded(self, at: TrackingConfig, client: MlflowClient, run: str) -> None:
        runs.end_run(at, run, "KILLED")
        assert client.get_run(run).info.status == "KILLED"

    def test_parts_are_nested_and_found_again(
        self, at: TrackingConfig, client: MlflowClient, run: str
    ) -> None:
        photo = runs.nested_run(at, run, "photo", {"kind": "single"})
        fusion = runs.nested_run(at, run, "fusion", {"kind": "fusion"})
        runs.end_run(at, photo, "FINISHED")
        assert len({run, photo, fusion}) == 3
        assert runs.nested_run(at, run, "photo", {}) == photo
        result = client.get_run(photo)
        assert result.data.tags["mlflow.parentRunId"] == run
        assert result.data.tags["kind"] == "single"
        assert result.info.run_name == "photo · birds-1"
        assert runs.start_run(at, "birds-1", "birds-1", {}) == run, "a part is not taken for the run"

    def test_parts_share_the_facts_of_their_run(
        self, at: TrackingConfig, client: MlflowClient, run: str
    ) -> None:
        samples = pd.DataFrame({"id": ["a"], "split": ["train"], "target": ["x"]})
        runs.set_tags(at, run, {"config": "birds", "git_commit": "abc", "dataset_digest": "0123"})
        runs.set_tags(at, run, {"champion": "yes"})
        runs.log_dataset(at, run, samples, "rows.csv", "birds", "0123456789abcdef" * 2)
        part = runs.nested_run(at, run, "photo", {"kind": "single"})
        result = client.get_run(part)
        assert {result.data.tags[name] for name in ("config", "git_commit", "dataset_digest")} == {
            *("birds", "abc", "0123")
        }
        assert "champion" not in result.data.tags, "only whole runs are champions"
        assert [each.dataset.name for each in result.inputs.dataset_inputs] == ["birds"]
        assert runs.find_part(at, run, "photo") == part
        assert runs.find_part(at, run, "average") is None

    def test_parts_of_different_runs_are_different(self, at: TrackingConfig, run: str) -> None:
        other = runs.start_run(at, "birds-2", "birds-2", {})
        assert runs.nested_run(at, run, "photo", {}) != runs.nested_run(at, other, "photo", {})

    def test_a_run_is_found_by_id_key_or_name(self, at: TrackingConfig, run: str) -> None:
        runs.nested_run(at, run, "photo", {})
        other = runs.start_run(at, "shown name", "birds-2", {})
        for name, expected in ((run, run), ("birds-1", run), ("birds-2", other), ("shown name", other)):
            result = runs.find_run(at, name)
            assert result is not None
            assert result.info.run_id == expected
        runs.set_tags(at, other, {"kind": "retrain"})
        runs.start_run(at, "drift", "drift-1", {"kind": "monitor"})
        newest = runs.find_run(at, "last")
        assert newest is not None
        assert newest.info.run_id == other
        assert runs.find_run(at, "photo · birds-1") is None, "parts have no report"

    @pytest.mark.parametrize("name", ["nothing", "it's", "", "a' or '1'='1"])
    def test_an_unknown_name_finds_nothing(self, at: TrackingConfig, run: str, name: str) -> None:
        assert runs.find_run(at, name) is None

    def test_a_deleted_experiment_is_taken_up_again(
        self, at: TrackingConfig, client: MlflowClient, run: str
    ) -> None:
        experiment = client.get_experiment_by_name(at.experiment)
        assert experiment is not None
        client.delete_experiment(experiment.experiment_id)
        runs.start_run(at, "birds-9", "birds-9", {})
        again = client.get_experiment_by_name(at.experiment)
        assert again is not None
        assert again.lifecycle_stage == "active"

    def test_artifacts_lie_in_the_workspace(
        self, at: TrackingConfig, client: MlflowClient, run: str, store: Path
    ) -> None:
        assert client.get_run(run).info.artifact_uri.startswith((store / "mlartifacts").as_uri())


class TestExperiment:
    def test_it_says_what_is_seen_and_keeps_what_people_wrote(
        self, at: TrackingConfig, client: MlflowClient, run: str
    ) -> None:
        experiment = client.get_run(run).info.experiment_id
        tags = client.get_experiment(experiment).tags
        note = tags["mlflow.note.content"]
        assert "tags.champion = 'yes'" in note
        assert len(note) < 5000, "more is not taken by every store"
        for view in VIEWS:
            assert f"({view.link(experiment)})" in note
            state = json.loads(tags[view.tag])
            client.search_runs([experiment], state["searchFilter"])  # raises where it is no filter
            assert "tags.`config`" in state["selectedColumns"]
        client.set_experiment_tag(experiment, "mlflow.note.content", "ours")
        runs.start_run(at, "birds-2", "birds-2", {})
        assert client.get_experiment(experiment).tags["mlflow.note.content"] == "ours"

    def test_its_filters_are_taken(self, at: TrackingConfig, client: MlflowClient, run: str) -> None:
        experiment = client.get_run(run).info.experiment_id
        note = client.get_experiment(experiment).tags["mlflow.note.content"]
        filters = note.split("```")[1].strip().splitlines()
        assert len(filters) == 4
        for each in filters:
            client.search_runs([experiment], each)
        runs.set_tags(at, run, {"champion": "yes"})
        assert [result.info.run_id for result in client.search_runs([experiment], filters[0])] == [run]


class TestParams:
    VALUES: ClassVar = {"fusion": {"name": "gated", "layers": [1, 2]}, "seed": 0, "data": {"id": None}}

    def test_they_are_flat_and_readable(self, at: TrackingConfig, client: MlflowClient, run: str) -> None:
        runs.log_params(at, run, self.VALUES)
        expected = {"fusion.name": "gated", "fusion.layers": "1, 2", "seed": "0", "data.id": "None"}
        assert client.get_run(run).data.params == expected

    def test_they_are_logged_once_and_later_ones_added(
        self, at: TrackingConfig, client: MlflowClient, run: str
    ) -> None:
        runs.log_params(at, run, self.VALUES)
        runs.log_params(at, run, {**self.VALUES, "seed": 5, "new": 1})  # MLflow refuses a changed one
        params = client.get_run(run).data.params
        assert (params["seed"], params["new"]) == ("0", "1")

    def test_there_may_be_hundreds_and_long_ones(
        self, at: TrackingConfig, client: MlflowClient, run: str
    ) -> None:
        runs.log_params(at, run, {f"p{number}": "x" * 7000 for number in range(230)})
        params = client.get_run(run).data.params
        assert len(params) == 230
        assert set(map(len, params.values())) == {6000}

    def test_names_of_columns_may_have_any_letters(
        self, at: TrackingConfig, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        types = {"Fare ($)": "numeric", "größe%": "numeric", "a/b": "boolean"}
        runs.log_params(at, run, {"types": types})
        runs.log_params(at, run, {"types": types})
        assert set(client.get_run(run).data.params) == {f"types.{outside_name(name)}" for name in types}
        runs.log_names(at, run, ["size", *types])
        stored = runs.download(at, run, runs.NAMES, tmp_path)
        assert set(json.loads(stored.read_text("utf-8")).values()) == set(types)


class TestMetrics:
    def test_epochs_are_not_logged_twice_when_replayed(
        self, at: TrackingConfig, client: MlflowClient, run: str
    ) -> None:
        for number in (0, 1):
            runs.log_epoch(at, run, epoch(number), "accuracy")
        for number in (0, 1, 2):  # resumed: the first two come again
            runs.log_epoch(at, run, epoch(number), "accuracy")
        for name in ("train_loss", "val_loss", "val_accuracy", "learning_rate", "epoch_seconds", "epoch"):
            assert [point.step for point in client.get_metric_history(run, name)] == [0, 1, 2]
        losses = [point.value for point in client.get_metric_history(run, "train_loss")]
        assert losses == pytest.approx([1, 1 / 2, 1 / 3])

    def test_final_ones_are_logged_once(self, at: TrackingConfig, client: MlflowClient, run: str) -> None:
        runs.log_metrics(at, run, {"a": 1, "b": 2})
        runs.log_metrics(at, run, {"a": 9, "c": 3})
        assert client.get_run(run).data.metrics == {"a": 1, "b": 2, "c": 3}
        assert len(client.get_metric_history(run, "a")) == 1

    def test_there_may_be_very_many(self, at: TrackingConfig, client: MlflowClient, run: str) -> None:
        runs.log_metrics(at, run, {f"m{number}": number for number in range(1100)})
        assert len(client.get_run(run).data.metrics) == 1100

    def test_inputs_may_have_names_in_any_script(
        self, at: TrackingConfig, client: MlflowClient, run: str
    ) -> None:
        runs.log_metrics(at, run, {"data_größe_missing": 3, "data_写真_missing": 4})
        assert client.get_run(run).data.metrics["data_写真_missing"] == 4

    def test_undefined_ones_are_left_out(self, at: TrackingConfig, client: MlflowClient, run: str) -> None:
        values = {"drift_size_psi": 0.1, "test_roc_auc": float("nan"), "test_r2": -float("inf")}
        for _ in range(2):
            runs.log_metrics(at, run, values)
        assert client.get_run(run).data.metrics == {"drift_size_psi": 0.1}
        assert len(client.get_metric_history(run, "drift_size_psi")) == 1
        runs.log_final(at, run, {"val_loss": 0.5, "val_roc_auc": float("nan")}, 3)
        assert set(client.get_run(run).data.metrics) == {"drift_size_psi", "val_loss"}


class TestData:
    SAMPLES = pd.DataFrame({"id": ["a", "b"], "split": ["train", "test"], "target": ["x", "y"]})

    @pytest.mark.parametrize("source", ["rows.csv", "demo", "org/name", "s3://bucket/rows.parquet"])
    def test_the_data_set_is_logged_once_with_its_digest(
        self, at: TrackingConfig, client: MlflowClient, run: str, source: str
    ) -> None:
        for _ in range(2):
            runs.log_dataset(at, run, self.SAMPLES, source, "birds", "0123456789abcdef" * 2)
        (result,) = client.get_run(run).inputs.dataset_inputs
        assert result.dataset.name == "birds"
        assert result.dataset.digest == "0123456789abcdef" * 2

    def test_a_table_is_shown_and_downloadable_and_listed_once(
        self, at: TrackingConfig, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        table = pd.DataFrame({"model": ["a", "b"], "value": [0.5, None], "rows": [1, 2]})
        for _ in range(2):
            runs.log_table(at, run, table, "results")
        runs.log_table(at, run, table.head(0), "quarantine")
        csv = runs.download(at, run, "tables/results.csv", tmp_path / "new")
        pd.testing.assert_frame_equal(pd.read_csv(csv), table)
        experiment = client.get_run(run).info.experiment_id
        shown = client.load_table(experiment, "tables/results.json", [run])
        assert shown["model"].tolist() == ["a", "b"]
        listed = client.get_run(run).data.tags["mlflow.loggedArtifacts"]
        assert listed.count("results.json") == 1
        assert listed.count("quarantine.json") == 1

    def test_files_text_and_figures_are_artifacts(
        self, at: TrackingConfig, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        (tmp_path / "report.html").write_text("<p>grün", "utf-8")
        runs.log_file(at, run, tmp_path / "report.html")
        runs.log_text(at, run, "seed: 0", "config.yaml")
        runs.log_figures(at, run, {"confusion": Figure()})
        assert {file.path for file in client.list_artifacts(run)} == {"report.html", "config.yaml", "figures"}
        assert [file.path for file in client.list_artifacts(run, "figures")] == ["figures/confusion.png"]
        fetched = runs.download(at, run, "report.html", tmp_path / "fetched")
        assert fetched.read_text("utf-8") == "<p>grün"


def test_the_environment_says_where_runs_go(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from the environment")
    at = load_tracking(None, tmp_path / "elsewhere")
    run = runs.start_run(at, "r", "r", {})
    experiment = runs.connect(at).get_run(run).info.experiment_id
    assert runs.connect(at).get_experiment(experiment).name == "from the environment"
    assert not (tmp_path / "elsewhere").exists()


def test_a_second_workspace_of_a_process_is_not_tracked_in_the_first_one(
    at: TrackingConfig, tmp_path: Path
) -> None:
    runs.connect(at)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert load_tracking(None, tmp_path).tracking_uri == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_page_is_named_only_where_a_server_shows_it(at: TrackingConfig, run: str) -> None:
    assert runs.run_url(at, run) is None
    shown = runs.run_url(at.model_copy(update={"page_url": "https://mlflow.example.org/"}), run)
    assert shown is not None
    assert shown.startswith("https://mlflow.example.org/#/experiments/")
    assert shown.endswith(f"/runs/{run}?workflowType=machine_learning")


def test_system_metrics_can_be_off(at: TrackingConfig, run: str) -> None:
    assert runs.watch_system(at.model_copy(update={"system_metrics": False}), run) is None


def test_nested_mappings_become_dotted_names() -> None:
    values = {"a": {"b": {"c": 1}, "d": (1, 2)}, "e": "text", "f": {}}
    assert runs.flatten(values) == {"a.b.c": 1, "a.d": "1, 2", "e": "text"}
