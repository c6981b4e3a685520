"""``braid monitor`` as a user runs it: quiet on rows like its own, loud where the audio is not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient

from components.config import TrackingConfig
from components.config.monitor import MonitorConfig
from components.errors import BraidError
from tasks.monitor import find_task
from tests.acceptance.e2e.project import Project, write_manifest, write_noisy_manifest
from tests.prefect_api import signed_in

pytestmark = pytest.mark.e2e
ROWS = 200


@pytest.fixture(scope="module")
def tiny(project: Project) -> Project:
    """The trained project, and beside its data another draw of such rows, with targets."""
    write_manifest(project.folder / "later", ROWS, seed=1)
    return project


@pytest.fixture(scope="module")
def noisy(tiny: Project) -> Path:
    """The later rows with a hiss in the audio, without targets."""
    return write_noisy_manifest(tiny.folder / "later")


def monitor(project: Project, table: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """The command in this process."""
    done = project.inside("monitor", "tiny", str(table), "--json", *more)
    assert done.stdout, done.stderr
    return done.exit_code, json.loads(done.stdout)


@pytest.fixture(scope="module")
def quiet(tiny: Project) -> dict[str, Any]:
    code, result = monitor(tiny, tiny.folder / "later" / "manifest.csv", "--fail-on-drift")
    assert code == 0
    return result


@pytest.fixture(scope="module")
def alarm(tiny: Project, noisy: Path) -> dict[str, Any]:
    code, result = monitor(tiny, noisy, "--fail-on-drift")
    assert code == 6
    return result


def events(project: Project, run: str) -> list[dict[str, Any]]:
    """Events ``braid.drift`` of a monitoring run that reached the server; they take a moment."""
    asked = {"filter": {"event": {"name": ["braid.drift"]}}, "limit": 50}
    assert project.api is not None
    client, deadline = signed_in(project.api), time.monotonic() + 15
    while time.monotonic() < deadline:
        received = client.post("/events/filter", json=asked).raise_for_status().json()["events"]
        own = [event for event in received if event["payload"]["mlflow_run"] == run]
        if own:
            return own
        time.sleep(0.5)
    return []


def test_rows_like_the_models_own_are_no_alarm(quiet: dict[str, Any]) -> None:
    assert not quiet["drift"]
    assert quiet["drifted"] == []
    assert (quiet["rows"], quiet["rows_looked_at"], quiet["rows_compared"]) == (ROWS, ROWS, ROWS)
    assert quiet["reference_rows"] == 48  # test rows of 240: it has learned from the validation rows
    expected = {"picture_mmd", "picture_auc", "picture_brightness_psi", "picture_missing_rate_change"}
    expected |= {"sound_crest_psi", "words_words_psi", "label_label_psi", "answer_label_psi"}
    assert expected | {"confidence_label_psi", "quarantine_rate_change"} <= set(quiet["tests"])


def test_noise_in_the_sound_is_an_alarm_on_the_sound_alone(alarm: dict[str, Any]) -> None:
    assert alarm["drift"]
    assert alarm["drifted_inputs"] == ["sound"]
    assert alarm["tests"]["sound_mmd"]["drifted"]
    assert alarm["tests"]["sound_auc"]["effect"] > 0.8
    assert not any(key.startswith("label_") for key in alarm["tests"]), "these rows have no targets"


def test_an_alarm_is_an_event_that_says_what_to_retrain(
    tiny: Project, noisy: Path, alarm: dict[str, Any]
) -> None:
    (event,) = events(tiny, alarm["mlflow_run"])
    assert event["resource"]["prefect.resource.id"] == "braid.model.tiny"
    assert event["resource"]["braid.model.version"] == "1"
    payload = event["payload"]
    assert payload["config"] == "tiny"
    assert Path(payload["config_file"]).name == tiny.config.name, "of the run that made the model"
    assert payload["manifest"] == str(noisy)
    assert payload["drifted_inputs"] == ["sound"]
    assert "sound_mmd" in payload["tests"]
    assert "Drift in sound" in payload["headline"]


def test_mlflow_has_a_run_with_flat_metrics_tags_table_and_figure(
    tiny: Project, quiet: dict[str, Any], alarm: dict[str, Any]
) -> None:
    client = MlflowClient(tiny.tracking_uri)
    experiment = client.get_run(quiet["mlflow_run"]).info.experiment_id
    logged = client.search_runs([experiment], "tags.kind = 'monitor'")
    assert {run.info.run_id for run in logged} == {quiet["mlflow_run"], alarm["mlflow_run"]}
    runs = {run.info.run_id: run.data for run in logged}
    loud, still = runs[alarm["mlflow_run"]], runs[quiet["mlflow_run"]]
    assert (loud.tags["drift"], loud.tags["drifted_inputs"]) == ("yes", "sound")
    assert (still.tags["drift"], still.tags["drifted_inputs"]) == ("no", "")
    assert (still.tags["model_name"], still.tags["model_version"]) == ("tiny", "1")
    assert (loud.metrics["drift"], still.metrics["drift"]) == (1, 0)
    assert loud.metrics["drift_sound_mmd"] == alarm["tests"]["sound_mmd"]["effect"]
    assert still.metrics["drift_sound_auc_p_adjusted"] > 0.05
    files = [
        file.path
        for folder in ("", "tables", "figures")
        for file in client.list_artifacts(alarm["mlflow_run"], folder)
    ]
    assert {"drift.json", "quarantine.parquet", "tables/drift.csv", "figures/drift.png"} <= set(files)


def test_every_row_bad_is_an_alarm_and_not_an_error(tiny: Project) -> None:
    rows = pd.read_csv(tiny.folder / "later" / "manifest.csv", dtype=str, keep_default_na=False)
    lost = tiny.folder / "later" / "lost.csv"
    rows.assign(picture="media/lost.png").to_csv(lost, index=False)
    code, result = monitor(tiny, lost)
    assert code == 0, "drift alone is no failure"
    assert result["drifted"] == ["quarantine"]
    assert result["rows_compared"] == 0
    assert result["tests"]["quarantine_rate_change"]["effect"] == 1.0


def test_a_model_that_is_not_there_or_carries_nothing_is_told(tiny: Project, tmp_path: Path) -> None:
    at = TrackingConfig(tracking_uri=tiny.tracking_uri)
    given = {"manifest": str(tiny.folder / "manifest.csv")}
    with pytest.raises(BraidError, match=r"there is no model and no run 'nobody'.*registered models: tiny"):
        find_task.fn(MonitorConfig.model_validate({**given, "model": "nobody"}), at, tiny.workspace)
    for reference in tiny.workspace.glob("models/**/reference.parquet"):
        reference.rename(tmp_path / "reference.parquet")
        with pytest.raises(BraidError, match=r"tiny: the model carries no rows.*monitoring\.rows"):
            find_task.fn(MonitorConfig.model_validate({**given, "model": "tiny"}), at, tiny.workspace)
        (tmp_path / "reference.parquet").rename(reference)
        break
    else:
        raise AssertionError("no model was fetched")
