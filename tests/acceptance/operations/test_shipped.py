"""The shipped configurations, run whole and as README gives them; those that need no data from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.e2e.project import ROOT, Project
from tests.acceptance.operations.conftest import running

CONFIGS = ROOT / "configs"
RUN = {"demo.yaml", "views.yaml", "demo-sweep.yaml", "demo-distill.yaml", "operations.yaml"}
ELSEWHERE = {  # data that is not in the repository; tests/acceptance/e2e/test_seed.py makes some for the seed
    *("avdigits.yaml", "avdigits-search.yaml", "avdigits-hard.yaml", "avdigits-hard-distill.yaml"),
    *("emoji.yaml", "emoji-minilm.yaml", "emoji-distill.yaml", "bakeoff.yaml", "seed.yaml"),
}


def test_every_shipped_file_is_run_or_needs_data_from_elsewhere() -> None:
    assert {path.name for path in CONFIGS.glob("*.yaml")} == RUN | ELSEWHERE
    assert not RUN & ELSEWHERE
    for name in ELSEWHERE - {"bakeoff.yaml"}:
        text = (CONFIGS / name).read_text("utf-8")
        assert "source: ../../shared/" in text or "source: manifest.csv" in text or "pipeline: " in text


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A workspace of a user who has set nothing."""
    return Project(tmp_path_factory.mktemp("shipped"))


def result_of(project: Project, command: str, name: str) -> dict[str, Any]:
    done = project.braid(command, str(CONFIGS / name), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def demo(project: Project) -> dict[str, Any]:
    return result_of(project, "run", "demo.yaml")


@pytest.mark.e2e
@pytest.mark.slow
class TestWhole:
    def test_the_demo_shows_that_fusion_helps(self, demo: dict[str, Any]) -> None:
        assert demo["fusion_helps"] == "yes"
        assert demo["champion"]
        assert demo["test"]["accuracy"]["low"] > 0.95
        assert Path(demo["report"]).exists()

    def test_views_are_run_to_the_report(self, project: Project) -> None:
        result = result_of(project, "run", "views.yaml")
        assert result["champion"]
        assert "Damaged and missing inputs" in Path(result["report"]).read_text("utf-8")

    def test_the_sweep_ranks_what_its_file_names(self, project: Project, demo: dict[str, Any]) -> None:
        result = result_of(project, "sweep", "demo-sweep.yaml")
        ranked = {row["model"] for row in result["rankings"]["demo"]["rows"] if row["kind"] == "fusion"}
        assert ranked == {"late", "concat", "gated", "low_rank"}

    def test_the_demos_champion_teaches(self, project: Project, demo: dict[str, Any]) -> None:
        result = result_of(project, "distill", "demo-distill.yaml")
        assert result["students"]
        assert all(student["helps"] in {"yes", "no", "unclear"} for student in result["students"].values())

    def test_the_operations_are_served(self, project: Project) -> None:
        with running(project, CONFIGS / "operations.yaml") as up:
            names = {each["name"] for each in up.api("POST", "deployments/filter")}
            assert names == {"retrain", "sweep", "distill", "score", "monitor"}
            form = up.deployment("retrain")["parameter_openapi_schema"]["properties"]["config"]
            assert form["enum"] == [str(CONFIGS / "demo.yaml"), str(CONFIGS / "seed.yaml")]
