"""A half-life lets newer rows count more: in every fit, and in the keys of what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from components.config import PipelineConfig
from components.data.recency import recency
from components.data.samples import learning_rows, open_samples_table
from components.pipeline.evaluate import evaluate_model
from components.pipeline.run import BuiltModel, build_model

ENCODER = {"name": "mlp", "width": 8, "hidden": [8]}
FIT = {"epochs": 12, "batch_size": 64, "learning_rate": 0.01}


def visits() -> pd.DataFrame:
    """Three a day, of which x and z tell the class; after day 200 the other way round."""
    rng = np.random.default_rng(0)
    ill = rng.random(900) < 0.5
    day = np.arange(900) // 3
    sign = np.where(day < 200, 1.0, -1.0) * np.where(ill, 1.0, -1.0)
    return pd.DataFrame(
        {
            "id": [f"v{row}" for row in range(900)],
            "ill": ill,
            "x": rng.normal(sign, 1),
            "z": rng.normal(sign, 1),
            "day": [str((pd.Timestamp("2025-01-01") + pd.Timedelta(days=int(each))).date()) for each in day],
        }
    )


def built(folder: Path, half_life: str | None, **options: Any) -> BuiltModel:
    folder.mkdir()
    visits().to_csv(folder / "visits.csv", index=False)
    config = PipelineConfig.model_validate(
        {
            "name": "visits",
            "data": {
                "source": "visits.csv", "time": "day", "split": {"by": "time", "val": "20d", "test": "40d"}
            },
            "target": {"column": "ill"},
            "inputs": {
                name: {"modality": "tabular", "columns": [name], "encoder": ENCODER, "fit": FIT}
                for name in "xz"
            },
            "evaluation": {"bootstrap": 100},
            "engine": {"device": "cpu"},
            **options,
            "training": {**FIT, "folds": 0, "half_life": half_life},
        }
    )  # fmt: skip
    return build_model(config, folder, folder)


def accuracy(model: BuiltModel) -> float:
    evaluation = evaluate_model(
        model.dataset, model.selection, model.features, model.fused, model.bundle, model.config
    ).evaluations[0]
    return evaluation.delivered.test["accuracy"].value


def test_weights_halve_with_every_half_life(tmp_path: Path) -> None:
    model = built(tmp_path / "run", "30d")
    samples = learning_rows(model.dataset, ["x", "z"])
    train = samples[samples["split"] == "train"]
    weights = recency(model.dataset, train, "30d")
    assert weights is not None
    assert weights.mean() == pytest.approx(1, abs=1e-5)
    assert weights[0] / weights[90] == pytest.approx(0.5, rel=1e-5)  # three rows a day
    assert weights[-1] == weights.max()
    assert recency(model.dataset, train, None) is None
    assert open_samples_table(model.dataset).column("time")[0] == "2025-01-01T00:00:00"


@pytest.mark.parametrize("options", [{"fusion": {"name": "concat", "width": 8}}, {"strategy": "joint"}])
def test_what_has_turned_is_learned_from_newer_rows(tmp_path: Path, options: dict[str, Any]) -> None:
    options = {"fusion": {"name": "concat", "width": 8}, **options}
    forgetful, faithful = built(tmp_path / "a", "10d", **options), built(tmp_path / "b", None, **options)
    assert accuracy(forgetful) > 0.8
    assert accuracy(faithful) < 0.6
