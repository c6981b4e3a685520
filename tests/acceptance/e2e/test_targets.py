"""Numbers, labels and two targets at once: from the command line to the scored row."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from PIL import Image

from components.inference.predictor import Predictor
from components.runtime.environ import variables
from tests.acceptance.e2e.project import Project, predicted

pytestmark = pytest.mark.e2e
FIT = {"epochs": 6, "batch_size": 16, "learning_rate": 0.01}
PIPELINE: dict[str, Any] = {
    "name": "kinds",
    "data": {"source": "manifest.csv", "split": {"column": "split"}},
    "inputs": {
        "picture": {
            "modality": "image",
            "columns": "picture",
            "size": 12,
            "encoder": {"name": "cnn", "width": 8, "channels": [8], "dropout": 0.0},
            "fit": {**FIT, "epochs": 12},
        },
        "words": {
            "modality": "text",
            "columns": "words",
            "encoder": {"name": "ngrams", "width": 8, "buckets": 256},
            "fit": FIT,
        },
        "facts": {
            "modality": "tabular",
            "columns": ["rooms"],
            "encoder": {"name": "mlp", "width": 8, "hidden": [16]},
            "fit": {**FIT, "epochs": 15},
        },
    },
    "training": {**FIT, "epochs": 10},
    "evaluation": {
        "bootstrap": 100,
        "worst_samples": 2,
        "robustness": {"rows": 16, "severities": [3], "missing_rates": [0.5]},
        "explanations": {"samples": 1, "detail": 16},
    },
    "engine": {"device": "cpu"},
}


def write_project(folder: Path, api: str, rows: int = 200, **changes: Any) -> Project:
    """A price that grows with brightness, size and a word; tags and a kind that say what is there."""
    rng = np.random.default_rng(0)
    table = []
    for row in range(rows):
        bright, fine, rooms = rng.random() < 0.5, rng.random() < 0.5, int(rng.integers(1, 9))
        level = 130 if bright else 30
        picture = rng.integers(level - 30, level + 90, (12, 12, 3)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{row}.png")
        price = 100 + 40 * bright + 30 * fine + 10 * rooms + rng.normal(0, 5)
        tags = [
            name for name, applies in (("bright", bright), ("fine", fine), ("large", rooms > 4)) if applies
        ]
        table.append(
            {
                "id": f"row-{row}",
                "split": "train" if row % 5 < 3 else "val" if row % 5 == 3 else "test",
                "price": "" if row % 17 == 0 else round(price, 2),
                "tags": "|".join(tags) or "none",
                "kind": "" if row % 11 == 3 else "day" if bright else "night",
                "picture": "" if row % 10 == 7 else f"{row}.png",
                "words": f"a {'fine' if fine else 'plain'} place of {rng.choice(['mine', 'ours'])}",
                "rooms": "" if row % 12 == 5 else rooms,
            }
        )
    pd.DataFrame(table).to_csv(folder / "manifest.csv", index=False)
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**PIPELINE, **changes}, sort_keys=False))
    return Project(folder, api)


def score(project: Project, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Predict by the registered model, through MLflow's pyfunc; a server has JSON for all of it."""
    predictions = predicted(project, "kinds", pd.DataFrame(rows))
    with variables({"_MLFLOW_IS_IN_SERVING_ENVIRONMENT": "true"}):
        json.dumps(predicted(project, "kinds", pd.DataFrame(rows)).to_dict("records"), allow_nan=False)
    return json.loads(predictions.to_json(orient="records"))


def scored(project: Project, run: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Predict by the delivered model, in this process."""
    return (
        Predictor(project.workspace / "runs" / run / "bundle", "cpu")
        .predict(pd.DataFrame(rows))
        .to_dict("records")
    )


def metrics_of(project: Project, run: str) -> dict[str, float]:
    return MlflowClient(project.tracking_uri, project.tracking_uri).get_run(run).data.metrics


@pytest.mark.slow
def test_a_number_is_learned_told_with_its_interval_and_scored_with_inputs_missing(
    tmp_path: Path, api: str
) -> None:
    target = {"column": "price", "task": "regression"}
    project = write_project(tmp_path, api, target=target, data={**PIPELINE["data"], "max_bad": 0.1})
    result = project.run()
    assert (result["target"], result["task"], result["metric"]) == ("price", "regression", "r2")
    assert result["test"]["r2"]["low"] > 0.5  # noise leaves 5² of about 1000 unexplained
    best = max(result["candidates"][name]["test"]["value"] for name in ("picture", "words", "facts"))
    assert result["test"]["r2"]["value"] > best + 0.1, "each input tells a part of the price"
    conformal = result["conformal"]
    assert conformal["promised"] == 0.9
    assert 0.75 < conformal["coverage"]["value"] <= 1  # 38 rows: a standard deviation of .05 around .9
    assert conformal["coverage"]["low"] < conformal["coverage"]["value"] <= conformal["coverage"]["high"]
    assert 5 < conformal["size"] < 130
    assert {frozenset(pair.split(" × ")) for pair in result["interactions"]} == {
        frozenset(pair) for pair in combinations(("picture", "words", "facts"), 2)
    }
    assert metrics_of(project, result["mlflow_run"])["conformal_coverage"] == conformal["coverage"]["value"]
    assert "price" in Path(result["report"]).read_text("utf-8")

    predictions = pd.read_parquet(project.workspace / "runs" / result["run"] / "predictions.parquet")
    truth = predictions["target.price"].astype(float)
    inside = (predictions["low"] <= truth) & (truth <= predictions["high"])
    assert inside.mean() == pytest.approx(conformal["coverage"]["value"])

    whole = {"picture": str(tmp_path / "1.png"), "words": "a fine place of mine", "rooms": 8}
    rows = [whole, {**whole, "picture": None}, {**whole, "rooms": 1}, dict.fromkeys(whole)]
    full, partial, small, nothing = score(project, rows)
    assert full["low"] < full["value"] < full["high"]
    assert full["value"] > small["value"] + 30  # seven rooms of 10 each
    assert partial["inputs"] == "words+facts"
    assert partial["low"] < partial["value"] < partial["high"]
    assert (nothing["value"], nothing["abstain"], nothing["inputs"]) == (None, True, "")
    assert nothing["std"] == pytest.approx(truth.std(), rel=0.3), "that of the training rows"


@pytest.mark.slow
def test_labels_are_learned_and_those_left_open_are_marked(tmp_path: Path, api: str) -> None:
    target = {"column": "tags", "task": "multilabel"}
    project = write_project(tmp_path, api, target=target, fusion={"name": "concat", "width": 16})
    result = project.run()
    assert (result["task"], result["metric"]) == ("multilabel", "f1_macro")
    # every input tells one of three labels; a guess of the others gives about .5
    assert result["test"]["f1_macro"]["value"] > 0.85
    assert result["test"]["hamming_loss"]["value"] < 0.15
    best = max(result["candidates"][name]["test"]["value"] for name in ("picture", "words", "facts"))
    assert result["test"]["f1_macro"]["value"] > best
    assert result["conformal"]["coverage"]["value"] > 0.8

    row = {"picture": None, "words": "a fine place of ours", "rooms": 8}
    some, none = scored(project, result["run"], [row, dict.fromkeys(row)])
    assert {"fine", "large"} <= set(some["labels"].split("|"))
    assert some["probability_fine"] > 0.8 > 0.75 > abs(some["probability_bright"] - 0.5) + 0.25
    assert "bright?" in some["set"]
    assert some["abstain"]
    assert pd.isna(none["labels"])


@pytest.mark.slow
def test_a_class_and_a_number_are_learned_together_from_rows_that_lack_one(tmp_path: Path, api: str) -> None:
    project = write_project(
        tmp_path,
        api,
        target={"column": "kind"},
        further_targets=[{"column": "price", "task": "regression"}],
        fusion={"name": "gated", "width": 16},
    )
    result = project.run()
    assert (result["target"], result["task"]) == ("kind", "classification")
    assert result["test"]["accuracy"]["value"] > 0.8
    further = result["further_targets"]["price"]
    assert further["metric"] == "r2"
    assert further["test"]["r2"]["low"] > 0.2
    table = pd.read_csv(project.folder / "manifest.csv")
    test = table[table["split"] == "test"]
    assert result["rows"]["test"] == test["kind"].notna().sum() < len(test)
    assert further["rows"]["test"] == test["price"].notna().sum() < len(test)
    metrics = metrics_of(project, result["mlflow_run"])
    assert metrics["test_accuracy"] == result["test"]["accuracy"]["value"]
    assert metrics["price_test_r2"] == further["test"]["r2"]["value"]

    row = {"picture": str(tmp_path / "1.png"), "words": "a fine place of ours", "rooms": 8}
    rows = [row, {**row, "picture": None, "words": None}]
    full, partial = scored(project, result["run"], rows)
    assert full["kind_label"] in ("day", "night")
    assert full["price_low"] < full["price_value"] < full["price_high"]
    assert partial["inputs"] == "facts"
    assert np.isfinite(partial["price_value"])
