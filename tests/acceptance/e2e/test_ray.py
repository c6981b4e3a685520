"""`engine: ray` as a user has it: a cluster for the run, figures of a local one, going on after a kill."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.e2e.project import PIPELINE, Project, make_project
from tests.acceptance.faults.kills import signal_at

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
ROWS = 120
SWEEP = {
    "name": "compare",
    "pipelines": ["tiny.yaml"],
    "fusions": ["concat", "gated"],
    "seeds": [0],
    "search": {"trials": 1, "space": {"fusion.width": {"low": 8, "high": 32, "step": 8}}},
    "register_winner": False,
}


def a_project(folder: Path, engine: str, api: str | None) -> Project:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'braid[ray]'")
    project = make_project(folder, ROWS, engine={**PIPELINE["engine"], "name": engine})
    (folder / "compare.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    return replace(project, api=api)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory, api: str) -> dict[str, Project]:
    return {name: a_project(tmp_path_factory.mktemp(name), name, api) for name in ("local", "ray")}


@pytest.fixture(scope="module")
def results(projects: dict[str, Project]) -> dict[str, dict[str, Any]]:
    return {name: project.run() for name, project in projects.items()}


def test_a_run_has_the_figures_of_a_local_one(results: dict[str, dict[str, Any]]) -> None:
    local, remote = results["local"], results["ray"]
    assert remote["test"] == local["test"]
    assert remote["subsets"] == local["subsets"]
    assert remote["extracted_rows"] == local["extracted_rows"]


def test_stores_and_trainings_have_the_same_names(
    projects: dict[str, Project], results: dict[str, dict[str, Any]]
) -> None:
    def names(project: Project) -> list[str]:
        cache = project.workspace / "cache"
        return sorted(
            str(path.relative_to(cache)) for path in cache.rglob("*") if path.suffix in {".parquet", ".arrow"}
        )

    assert names(projects["ray"]) == names(projects["local"])  # shards are named by the bytes in them


def test_a_sweep_ranks_as_a_local_one(
    projects: dict[str, Project], results: dict[str, dict[str, Any]]
) -> None:
    rankings = []
    for project in projects.values():
        done = project.braid("sweep", str(project.folder / "compare.yaml"), "--json")
        assert done.returncode == 0, done.stderr
        rankings.append(json.loads(done.stdout)["rankings"]["tiny"])
    local, remote = rankings
    assert remote["winner"] == local["winner"]
    assert [(row["model"], row["val"], row["test"]) for row in remote["rows"]] == [
        (row["model"], row["val"], row["test"]) for row in local["rows"]
    ]


def test_a_run_that_is_killed_leaves_no_cluster_and_is_gone_on_with(
    tmp_path: Path, api: str, results: dict[str, dict[str, Any]]
) -> None:
    project = a_project(tmp_path, "ray", None)
    # and all its processes end; two of Ray's look for the one that started them only once a minute
    assert signal_at(project, "fit-sound", signal.SIGKILL, patience=150) == -signal.SIGKILL
    assert replace(project, api=api).run()["test"] == results["local"]["test"]
