"""The main job as a user runs it: no server, one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.acceptance.e2e.project import Project, predicted

pytestmark = pytest.mark.e2e
FITS = {"picture", "sound", "words", "fusion"}
# The steps that take longest, and that the first run has.
UNMEASURED = [
    *("--set", "evaluation.robustness.rows=0"),
    *("--set", "evaluation.explanations.samples=0"),
    *("--set", "audit.rows=0"),
]


def runs_of(project: Project) -> tuple[list[Run], list[Run]]:
    """Parent and nested runs in MLflow."""
    client = MlflowClient(project.tracking_uri)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    parents = [run for run in runs if run.data.tags["braid.part"] == "run"]
    return parents, [run for run in runs if run not in parents]


def test_fusion_is_proved_to_beat_each_input(first_run: dict[str, Any]) -> None:
    candidates = first_run["candidates"]
    assert [*candidates] == [
        "picture",
        "sound",
        "words",
        "average",
        "late",
        "fusion",
        "ensemble",
        "delivered",
    ]
    assert first_run["fusion_helps"] == "yes"
    assert first_run["fusion_gain"]["low"] > 0
    assert candidates["delivered"]["test"]["value"] > max(
        candidates[name]["test"]["value"] for name in ("picture", "sound", "words")
    )
    assert len(first_run["subsets"]) == 7
    shares = sum(first_run["shapley"].values())
    assert shares == pytest.approx(
        first_run["subsets"]["picture+sound+words"] - 0.25, abs=0.1
    )  # four even classes


def test_mlflow_has_one_parent_and_the_nested_fits(project: Project, first_run: dict[str, Any]) -> None:
    parents, nested = runs_of(project)
    parent = next(run for run in parents if run.info.run_id == first_run["mlflow_run"])
    fits = [run for run in nested if run.data.tags["mlflow.parentRunId"] == parent.info.run_id]
    assert {run.data.tags["braid.part"] for run in fits} == FITS
    assert {run.info.status for run in [parent, *fits]} == {"FINISHED"}
    assert parent.data.params["inputs.picture.encoder.name"] == "cnn"
    assert parent.data.params["fusion.name"] == "concat"
    assert parent.data.tags["fusion_helps"] == "yes"
    assert parent.data.tags["champion"] == "yes"
    assert parent.data.metrics["test_accuracy"] == first_run["test"]["accuracy"]["value"]
    assert any(name.startswith("system/") for name in parent.data.metrics)
    (dataset,) = parent.inputs.dataset_inputs
    assert dataset.dataset.name == "tiny"
    assert parent.data.tags["dataset_digest"].startswith(dataset.dataset.digest)
    history = MlflowClient(project.tracking_uri).get_metric_history(fits[0].info.run_id, "train_loss")
    assert [metric.step for metric in history] == list(range(len(history)))


def test_runs_and_their_parts_compare_under_the_same_names(
    project: Project, first_run: dict[str, Any]
) -> None:
    client = MlflowClient(project.tracking_uri)
    parents, nested = runs_of(project)
    parent = next(run for run in parents if run.info.run_id == first_run["mlflow_run"])
    fits = [run for run in nested if run.data.tags["mlflow.parentRunId"] == parent.info.run_id]
    for run in fits:
        name = run.data.tags["braid.part"]
        assert parent.data.params.items() <= run.data.params.items()
        assert run.data.metrics["test_accuracy"] == first_run["candidates"][name]["test"]["value"]
        measured = {"val_accuracy", "val_loss", "test_accuracy_low", "parameters", "seconds", "best_epoch"}
        assert measured <= set(run.data.metrics)
        history = client.get_metric_history(run.info.run_id, "val_accuracy")
        assert run.data.metrics["val_accuracy"] == max(metric.value for metric in history)
        shared = ("config", "dataset_digest", "git_commit")
        assert [run.data.tags.get(tag) for tag in shared] == [parent.data.tags.get(tag) for tag in shared]
        assert run.data.tags["mlflow.note.content"].startswith(f"{name}: best val accuracy")
        assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["tiny"]
    kinds = {run.data.tags["braid.part"]: run.data.tags["kind"] for run in fits}
    assert kinds == {"picture": "single", "sound": "single", "words": "single", "fusion": "fusion"}
    (fusion,) = (run for run in fits if run.data.tags["kind"] == "fusion")
    assert (fusion.data.tags["fusion"], fusion.data.tags["fusion_helps"]) == ("concat", "yes")


def test_run_and_model_describe_themselves(project: Project, first_run: dict[str, Any]) -> None:
    client = MlflowClient(project.tracking_uri, project.tracking_uri)
    run = client.get_run(first_run["mlflow_run"])
    note = run.data.tags["mlflow.note.content"]
    assert f"test accuracy {first_run['test']['accuracy']['value']:.3f}" in note
    assert "**Fusion helps: +" in note
    assert "became champion: first model under this name" in note
    page = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/report.html"
    assert f"[report]({page}?workflowType=machine_learning)" in note
    version = client.get_model_version("tiny", first_run["model"]["version"])
    assert f"(#/models/tiny/versions/{version.version}?workflowType=machine_learning)" in note
    assert "Prefect flow run" not in note, "its server ended with the command"
    assert "first model under this name" in version.description
    assert float(version.tags["accuracy"]) == pytest.approx(run.data.metrics["test_accuracy"], abs=1e-4)
    assert {"delivered_gain", "test_accuracy_low", "calibration_error_after"} <= set(version.tags)
    logged = client.get_logged_model(run.data.tags["braid.model_uri"].removeprefix("models:/"))
    measured = {metric.key: metric.value for metric in logged.metrics}
    assert measured["test_accuracy"] == run.data.metrics["test_accuracy"]
    assert {"val_accuracy", "delivered_gain", "calibration_error_after"} <= set(measured)
    about = client.get_registered_model("tiny").description
    for word in ("`label`", "ant, bee, cat, dog", "`picture`: image", "`words`: text", "@champion"):
        assert word in about


def test_artifacts_hold_figures_tables_report_and_configuration(
    project: Project, first_run: dict[str, Any]
) -> None:
    client = MlflowClient(project.tracking_uri)

    def names(path: str | None = None) -> set[str]:
        return {Path(file.path).name for file in client.list_artifacts(first_run["mlflow_run"], path)}

    assert {
        "report.html",
        "config.yaml",
        "evaluation.json",
        "predictions.parquet",
        "robustness.json",
        "explanations.json",
    } <= names()
    assert {"results.json", "subsets.json", "classes.json", "quarantine.json"} <= names("tables")
    assert {"robustness.json", "missing_rates.json"} <= names("tables")
    figures = {"confusion", "reliability", "subsets", "training", "candidates", "shapley"}
    assert {f"{name}.png" for name in figures | {"robustness", "missing_rates"}} <= names("figures")
    assert len(names("figures/explanations")) == 6
    assert "explanations.json" in names("tables")
    page = Path(first_run["report"]).read_text("utf-8")
    assert "concat" in page
    assert "Damaged and missing inputs" in page
    assert page.count('class="explained"') == 6
    metrics = client.get_run(first_run["mlflow_run"]).data.metrics
    assert {"missing_50_accuracy", "missing_50_zero_imputed_accuracy"} <= set(metrics)
    assert {"robustness_picture_jpeg_relative", "robustness_sound_dropout_effective"} <= set(metrics)
    assert "Audit of the data" in page
    assert {"audit_votes.json", "audit_duplicates.json"} <= names("tables")
    run = client.get_run(first_run["mlflow_run"])
    assert run.data.metrics["audit_warnings"] == len(run.data.tags["audit"].split("+")) - (
        run.data.tags["audit"] == "good"
    )
    assert {"audit_picture_skill", "audit_sound_test_in_train"} <= set(run.data.metrics)
    assert "http://" not in page.replace("http://www.w3.org", "")  # self-contained; SVG names its namespace


def test_first_model_is_champion(project: Project, first_run: dict[str, Any]) -> None:
    assert first_run["champion"]
    client = MlflowClient(project.tracking_uri, project.tracking_uri)
    version = client.get_model_version_by_alias("tiny", "champion")
    assert str(version.version) == first_run["model"]["version"]
    assert version.tags["promotion"] == "first model under this name"


def test_a_command_with_a_server_of_its_own_leaves_nothing_in_its_log(
    project: Project, first_run: dict[str, Any]
) -> None:
    assert (project.workspace / "prefect-server.log").read_text("utf-8") == ""


def test_second_run_over_the_same_data_extracts_nothing(project: Project, first_run: dict[str, Any]) -> None:
    again = project.run(*UNMEASURED)
    assert again["extracted_rows"] == {"picture": 0, "sound": 0, "words": 0}
    assert again["test"] == first_run["test"]
    assert again["mlflow_run"] != first_run["mlflow_run"]
    assert not again["champion"]
    assert "not shown to be better" in again["promotion"]
    client = MlflowClient(project.tracking_uri, project.tracking_uri)
    assert str(client.get_model_version_by_alias("tiny", "champion").version) == first_run["model"]["version"]
    assert str(client.get_model_version_by_alias("tiny", "challenger").version) == again["model"]["version"]
    report = project.inside("report", again["run"])
    assert report.exit_code == 0
    assert Path(report.stdout.strip()).read_text("utf-8").lower().startswith("<!doctype html>")


def test_logged_model_scores_every_subset(project: Project, first_run: dict[str, Any]) -> None:
    manifest = pd.read_csv(project.folder / "manifest.csv")
    row = manifest[(manifest["split"] == "test") & manifest.notna().all(axis=1)].iloc[0]
    whole = {
        "picture": str(project.folder / row["picture"]),
        "sound": str(project.folder / row["sound"]),
        "words": row["words"],
    }
    subsets = [
        {name: value if bits >> bit & 1 else None for bit, (name, value) in enumerate(whole.items())}
        for bits in range(1, 8)
    ]
    scored = predicted(project, "tiny", pd.DataFrame(subsets))
    assert scored["inputs"].tolist() == [
        "+".join(name for name, value in subset.items() if value) for subset in subsets
    ]
    assert scored.filter(like="probability_").sum(axis=1).tolist() == pytest.approx([1.0] * 7, abs=1e-9)
    assert scored["label"].iloc[-1] == row["label"]


def test_signature_takes_rows_without_some_columns(project: Project, first_run: dict[str, Any]) -> None:
    mlflow.set_tracking_uri(project.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/tiny@champion")
    scored = model.predict(pd.DataFrame({"words": ["something about the cat maybe"]}))
    assert scored["inputs"].tolist() == ["words"]
    assert not any(name.startswith("share_") for name in scored)
    explained = model.predict(
        pd.DataFrame({"words": ["something about the cat maybe"]}), params={"explain": True}
    )
    assert explained["share_words"].iloc[0] != 0
    assert explained[["share_picture", "share_sound"]].to_numpy().tolist() == [[0, 0]]
    assert {column.name for column in model.metadata.signature.inputs} == {"picture", "sound", "words"}


def test_promote_and_rollback_as_a_user_does(project: Project, first_run: dict[str, Any]) -> None:
    """A second run's version: refused from its record, forced, rolled back, scored anew, all by command."""
    dry = project.run("--set", "promotion.mode=dry_run", *UNMEASURED)
    name, first, version = "tiny", first_run["model"]["version"], dry["model"]["version"]
    client = MlflowClient(project.tracking_uri, project.tracking_uri)

    def alias(wanted: str) -> str:
        return str(client.get_model_version_by_alias(name, wanted).version)

    assert not dry["champion"]
    assert dry["promotion"].startswith("dry run, would not become champion: accuracy not shown")
    assert alias("champion") == first
    assert client.get_model_version(name, version).aliases == [], "a dry run moves no alias"
    checks = {check["name"]: check for check in dry["promotion_checks"]}
    assert checks["loss in the worst subset"]["found"] == 0
    assert checks["loss of calibration"]["found"] == 0
    assert not checks["gain"]["passed"]
    page = Path(dry["report"]).read_text("utf-8")
    assert "loss in the worst subset" in page

    refused = project.inside("promote", name, version, "--json")
    assert refused.exit_code == 5
    result = json.loads(refused.stdout)
    assert (result["promoted"], result["source"]) == (False, "recorded")
    assert alias("champion") == first
    forced = project.inside("promote", name, version, "--force", "--why", "a try")
    assert forced.exit_code == 0, forced.stderr
    assert alias("champion") == version

    def crowned(run: str) -> str:
        return client.get_run(run).data.tags["champion"]

    assert (crowned(first_run["mlflow_run"]), crowned(dry["mlflow_run"])) == ("former", "yes")
    again = project.inside("promote", name, first, "--json")  # its run was compared with nobody
    assert again.exit_code == 5, again.stderr
    assert json.loads(again.stdout)["source"] == "scored"
    assert json.loads(again.stdout)["verdict"]["gain"]["value"] == 0
    back = project.inside("rollback", name, "--json")
    assert json.loads(back.stdout)["champion"] == first
    assert alias("champion") == first
    assert (crowned(first_run["mlflow_run"]), crowned(dry["mlflow_run"])) == ("yes", "former")
    none = project.inside("rollback", name)
    assert none.exit_code == 4
    assert "no champion before it is known" in none.stderr
    unknown = project.inside("promote", "nobody", "1")
    assert unknown.exit_code == 4
    assert "registered models: tiny" in unknown.stderr
