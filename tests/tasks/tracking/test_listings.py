"""Lists of runs and models. On a real SQLite store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.config import load_tracking
from flows.cli.app import app
from tasks.tracking import champions, runs
from tasks.tracking.listings import age, list_models, list_runs, size
from tasks.tracking.registry import Version


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a champion, a later run that is worse, a part of it, and a sweep under way."""
    workspace = tmp_path_factory.mktemp("listings")
    at = load_tracking(None, workspace)
    client = runs.connect(at)
    client.create_registered_model("shoes")
    for number, value in enumerate((0.9, 0.8), start=1):
        tags = {"kind": "retrain", runs.METRIC_TAG: "accuracy", runs.SIZE_TAG: "123456"}
        run = runs.start_run(at, f"shoes-{number}", f"shoes-{number}", tags)
        bounds = {"test_accuracy_low": value - 0.1, "test_accuracy_high": value + 0.05}
        runs.log_metrics(at, run, {"test_accuracy": value, **bounds})
        facts = {
            "run": f"shoes-{number}",
            runs.METRIC_TAG: "accuracy",
            runs.SIZE_TAG: "123456",
            "accuracy": f"{value:.4f}",
            **{name: f"{bound:.4f}" for name, bound in bounds.items()},
        }
        version = client.create_model_version("shoes", f"runs:/{run}/model", run, tags=facts).version
        if number == 1:
            champions.crown(at, workspace, Version("shoes", str(version), run), "first")
        runs.nested_run(at, run, "fusion", {})
        runs.end_run(at, run, "FINISHED")
    client.create_registered_model("no versions")
    runs.start_run(at, "big", "big", {"kind": "sweep", runs.NOTE: "**gated** is best.\n\nmore"})
    return workspace


def test_runs_are_listed_newest_first_without_their_parts(store: Path) -> None:
    listed = list_runs(load_tracking(None, store), 20).runs
    assert [(each.run, each.kind, each.champion) for each in listed] == [
        ("big", "sweep", "no"), ("shoes-2", "retrain", "no"), ("shoes-1", "retrain", "yes"),
    ]  # fmt: skip
    assert str(listed[1].score) == "accuracy 0.800 0.700…0.850"
    assert (listed[0].score, listed[0].headline, listed[0].seconds) == (None, "gated is best.", None)
    assert [each.run for each in list_runs(load_tracking(None, store), 1).runs] == ["big"]


def test_a_model_is_listed_by_its_champion_though_a_newer_version_is_there(store: Path) -> None:
    empty, shoes = list_models(load_tracking(None, store)).models
    assert (shoes.name, shoes.version, shoes.alias, shoes.versions) == ("shoes", "1", "champion", 2)
    assert str(shoes.score) == "accuracy 0.900 0.800…0.950"
    assert (shoes.model_bytes, shoes.run) == (123456, "shoes-1")
    assert (empty.name, empty.version, empty.versions) == ("no versions", None, 0)


@pytest.mark.parametrize("command", ["runs", "models"])
def test_both_commands_print_tables_and_json(store: Path, command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--workspace", str(store)])
    assert shown.exit_code == 0, shown.output
    assert "shoes" in shown.stdout
    as_json = json.loads(CliRunner().invoke(app, [command, "--workspace", str(store), "--json"]).stdout)
    scores = {each["score"]["value"] for each in as_json[command] if each["score"]}
    assert scores == ({0.9, 0.8} if command == "runs" else {0.9})


@pytest.mark.parametrize(("command", "message"), [("runs", "no runs yet"), ("models", "no models yet")])
def test_an_empty_workspace_says_what_makes_one(tmp_path: Path, command: str, message: str) -> None:
    shown = CliRunner().invoke(app, [command, "--workspace", str(tmp_path / "new")])
    assert shown.exit_code == 0
    assert message in shown.stdout
    assert "braid run FILE" in shown.stdout


def test_ages_and_sizes_have_one_unit() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    times = ["2026-01-01T23:59:30+00:00", "2026-01-01T23:00:00+00:00", "2025-12-01T00:00:00+00:00", None]
    assert [age(each, now) for each in times] == ["30 s", "1 h", "32 d", ""]
    assert [size(each) for each in (12, 1234, 5_600_000, None)] == ["12 B", "1.23 kB", "5.6 MB", ""]
