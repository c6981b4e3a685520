"""A result reaches MLflow and the dashboard in one way; only Prefect's server is left out here."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from mlflow import MlflowClient

from components.config import load_tracking
from tasks import artifacts
from tasks.context import Run
from tasks.tracking import runs
from tests.components.small_results import DRIFT, RANKING

Shown = dict[str, tuple[Any, str]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Artifacts by key: content and description."""
    made: Shown = {}

    def create(content: Any, key: str, description: str = "") -> None:
        made[key] = (content, description)

    monkeypatch.setattr(artifacts, "create_table_artifact", create)
    monkeypatch.setattr(artifacts, "create_markdown_artifact", create)
    return made


@pytest.fixture
def run(tmp_path: Path) -> Run:
    at = load_tracking(None, tmp_path)
    return Run("job", tmp_path, at, runs.start_run(at, "job", "job", {"kind": "monitor"}))


def files(run: Run) -> set[str]:
    client = MlflowClient(run.tracking.tracking_uri)
    return {
        file.path
        for folder in (None, "tables", "figures")
        for file in client.list_artifacts(run.mlflow_run, folder)
        if not file.is_dir
    }


def test_a_result_is_metrics_tables_figures_and_a_file(run: Run, shown: Shown, tmp_path: Path) -> None:
    file = tmp_path / "ranking.json"
    file.write_text(RANKING.to_json())
    artifacts.log_result(run, RANKING, file, lambda: {"ranking_Tiny": Figure()}, prefix="age_")
    metrics = runs.get_run(run.tracking, run.mlflow_run).data.metrics
    assert metrics["age_Tiny_gated_test_accuracy_low"] == pytest.approx(0.85)
    assert files(run) == {
        "ranking.json",
        "figures/age_ranking_Tiny.png",
        *(f"tables/age_{name}_Tiny.{ending}" for name in ("ranking", "budget") for ending in ("csv", "json")),
    }
    csv = runs.download(run.tracking, run.mlflow_run, "tables/age_ranking_Tiny.csv", tmp_path / "csv")
    assert (
        csv.read_text().splitlines()[0].startswith("pipeline,model,kind,val accuracy,test accuracy,low,high")
    )
    rows, caption = shown[artifacts.key("age_ranking_Tiny")]
    assert rows[1]["parameters"] is None
    assert caption.startswith("gated wins on validation")
    assert set(shown) == {artifacts.key("age_ranking_Tiny"), artifacts.key("age_budget_Tiny")}


def test_a_figure_and_a_table_of_the_dashboard_may_fail_without_the_step(
    run: Run, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **named: Any) -> None:
        raise ValueError("no axes")

    monkeypatch.setattr(artifacts, "get_run_logger", lambda: logging.getLogger(__name__))
    monkeypatch.setattr(artifacts, "create_table_artifact", fail)
    artifacts.log_result(run, RANKING, figures=fail, prefix="age_")
    missing = {each.step: each.reason for each in runs.missing_parts(run.tracking, run.mlflow_run)}
    assert missing == dict.fromkeys(
        ("age_figures", "age_ranking_Tiny in the dashboard", "age_budget_Tiny in the dashboard"),
        "ValueError: no axes",
    )
    assert any("age_ranking" in name for name in files(run))  # in MLflow the tables are

    monkeypatch.setattr(artifacts, "create_table_artifact", lambda *arguments, **named: None)
    artifacts.log_result(run, RANKING, prefix="age_")
    assert runs.missing_parts(run.tracking, run.mlflow_run) == ()


def test_a_page_has_all_of_a_result_and_no_secret(
    run: Run, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "no column")
    text = artifacts.show_result("drift_summary", "tiny and new.csv", DRIFT)
    page, _ = shown["drift-summary"]
    assert text.startswith("# tiny and new.csv\n\nDrift in voice: 190 of 1000 rows compared")
    assert "- Not compared: text: *** of it." in page
    assert "| voice: embeddings | MMD | 0.3123 | 0.05 | 0.000123 | 0.000988 | yes |" in page


@given(st.lists(st.text("aAbB_-. é😀", max_size=5), unique=True, max_size=8))
def test_no_two_names_have_one_key(names: list[str]) -> None:
    keys = [artifacts.key(name) for name in names]
    assert len(set(keys)) == len(names)
    assert all(re.fullmatch("[a-z0-9-]*", key) for key in keys)
    assert artifacts.key("test_rows") == "test-rows"
