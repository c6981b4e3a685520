"""configs/seed.yaml as shipped, but for the number of epochs: CNN + RNN + concatenation, trained jointly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

from tests.acceptance.e2e.project import ROOT, Project
from tests.acceptance.e2e.test_retrain import runs_of

pytestmark = pytest.mark.e2e
ROWS, CLASSES, EPOCHS = 50, 10, 2


@pytest.fixture(scope="module")
def seed_project(tmp_path_factory: pytest.TempPathFactory, api: str) -> Project:
    """Images whose colour, and sentences whose noun, tell one of ten classes."""
    folder = tmp_path_factory.mktemp("seed")
    random = np.random.default_rng(0)
    nouns = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"]
    rows = []
    for row in range(ROWS):
        label = row % CLASSES
        colour = np.array([label * 25, 255 - label * 25, (label * 97) % 255])
        picture = np.clip(random.normal(colour, 20, (48, 64, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{row}.jpg")
        rows.append(
            {"image": f"{row}.jpg", "text": f"here we see the {nouns[label]} again", "label": nouns[label]}
        )
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    (folder / "tiny.yaml").write_text((ROOT / "configs" / "seed.yaml").read_text())
    return Project(folder, api)


@pytest.mark.slow
def test_seed_trains_jointly_and_logs_metrics_and_model(seed_project: Project) -> None:
    few = [f"{part}.epochs={EPOCHS}" for part in ("training", "inputs.image.fit", "inputs.text.fit")]
    few += ["evaluation.bootstrap=100", "evaluation.robustness.rows=10", "evaluation.explanations.samples=1"]
    changes = [argument for change in few for argument in ("--set", change)]
    result = seed_project.run(*changes)

    parents, nested = runs_of(seed_project)
    (joint,) = [run for run in nested if run.data.tags["braid.part"] == "joint"]
    client = MlflowClient(seed_project.tracking_uri, seed_project.tracking_uri)
    losses = [metric.value for metric in client.get_metric_history(joint.info.run_id, "train_loss")]
    assert len(losses) == EPOCHS
    assert losses[-1] < losses[0]
    (parent,) = parents
    assert parent.data.params["inputs.image.size"] == "224"
    assert parent.data.params["inputs.text.max_tokens"] == "100"
    assert "test_accuracy" in parent.data.metrics
    assert set(result["extracted_rows"]) == {"image", "text", "image (joint)", "text (joint)"}
    assert client.get_model_version_by_alias("seed", "champion").run_id == parent.info.run_id
    assert Path(result["report"]).exists()
