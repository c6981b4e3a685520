"""Learning across inputs as a user runs it: judged in MLflow and in the report, search in a new process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient

from components.config import TrackingConfig
from components.errors import ModelError
from tasks.tracking.registry import find_model
from tests.acceptance.e2e.project import PIPELINE, Project, make_project

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
TWO = {name: PIPELINE["inputs"][name] for name in ("picture", "words")}
ALIGNMENT = {
    "use": "auxiliary",
    "weight": 1.0,
    "objective": {"name": "clip", "positives": "class"},
    "width": 8,
    "hidden": 16,
    "training": {"epochs": 20, "batch_size": 64, "learning_rate": 0.01},
}


@pytest.fixture(scope="module")
def searchable(tmp_path_factory: pytest.TempPathFactory, api: str) -> Project:
    return make_project(
        tmp_path_factory.mktemp("search"),
        api=api,
        joint_epochs=3,
        inputs=TWO,
        alignment=ALIGNMENT,
        evaluation={**PIPELINE["evaluation"], "robustness": {"rows": 0}},
    )


@pytest.fixture(scope="module")
def outcome(searchable: Project) -> dict[str, Any]:
    return searchable.run()


def find(project: Project, *arguments: str) -> list[dict[str, Any]]:
    """``braid search`` in a process of its own; its JSON."""
    done = project.braid("search", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def is_left(label: str) -> bool:
    return label in ("cat", "dog")


def test_it_is_judged_in_mlflow_with_chance_beside(searchable: Project, outcome: dict[str, Any]) -> None:
    client = MlflowClient(searchable.tracking_uri)
    metrics = client.get_run(outcome["mlflow_run"]).data.metrics
    for way in ("picture_to_words", "words_to_picture"):
        recall = metrics[f"retrieval_{way}_class_recall_1"]
        # an image shows one of the two bits of a class; a word hints at both half of the time
        assert recall > metrics[f"retrieval_{way}_class_recall_1_chance"] + 0.05
        assert metrics[f"retrieval_{way}_class_recall_1_chance"] == pytest.approx(0.25, abs=0.05)
        assert metrics[f"retrieval_{way}_recall_10"] >= metrics[f"retrieval_{way}_recall_1"]
        assert outcome["retrieval"][f"retrieval_{way}_median_rank"] == metrics[f"retrieval_{way}_median_rank"]
    names = {Path(file.path).name for file in client.list_artifacts(outcome["mlflow_run"])}
    assert "retrieval.json" in names
    assert "Search across inputs" in Path(outcome["report"]).read_text("utf-8")
    experiment = client.get_run(outcome["mlflow_run"]).info.experiment_id
    (nested,) = client.search_runs([experiment], "tags.`braid.part` = 'alignment'")
    assert nested.data.metrics["best_val_mean_average_precision"] > 0.3


def test_beside_the_fusion_it_is_part_of_what_is_learned(
    searchable: Project, outcome: dict[str, Any]
) -> None:
    client = MlflowClient(searchable.tracking_uri)
    parent = client.get_run(outcome["mlflow_run"])
    assert parent.data.params["alignment.use"] == "auxiliary"
    (joint,) = client.search_runs([parent.info.experiment_id], "tags.`braid.part` = 'joint'")
    learned, judged = (
        [metric.value for metric in client.get_metric_history(joint.info.run_id, f"{split}_loss")]
        for split in ("train", "val")
    )
    assert len(learned) == 3
    assert len(judged) == 4, "at the end again that of the epoch whose weights are kept"
    # only training has the alignment in its loss, at a weight of 1 about as much again as the targets'
    assert min(learned) > 1.5 * max(judged)
    assert learned[-1] < learned[0]
    assert set(outcome["extracted_rows"]) == {"picture", "words", "picture (joint)", "words (joint)"}


def test_search_finds_rows_that_share_what_the_query_shows(
    searchable: Project, outcome: dict[str, Any]
) -> None:
    manifest = pd.read_csv(searchable.folder / "manifest.csv")
    row = manifest[(manifest["split"] == "test") & manifest["picture"].notna()].iloc[0]
    picture = str(searchable.folder / row["picture"])
    hits = find(searchable, "tiny", "--query", picture, "--from", "picture", "--to", "words", "--top", "5")
    assert len(hits) == 5
    assert [hit["similarity"] for hit in hits] == sorted((hit["similarity"] for hit in hits), reverse=True)
    train = manifest[manifest["split"] == "train"].set_index("id")
    for hit in hits:
        assert hit["shown"] == train["words"][hit["id"]]
        assert hit["targets"] == {"label": train["label"][hit["id"]]}
    assert sum(is_left(hit["targets"]["label"]) == is_left(row["label"]) for hit in hits) >= 4


def test_runs_and_models_are_found_by_every_name(searchable: Project, outcome: dict[str, Any]) -> None:
    at = TrackingConfig(tracking_uri=searchable.tracking_uri)
    version = f"models:/tiny/{outcome['model']['version']}"
    for name in ("models:/tiny", "tiny@challenger", "tiny/1", version):
        assert find_model(at, name) == version
    logged = find_model(at, outcome["run"])
    assert logged.startswith("models:/m-")
    assert find_model(at, "last") == find_model(at, outcome["mlflow_run"]) == logged
    with pytest.raises(
        ModelError, match=r"there is no model and no run 'shoes' in .*registered models: tiny"
    ):
        find_model(at, "shoes")
