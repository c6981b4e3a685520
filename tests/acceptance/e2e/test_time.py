"""A table that grows with time: a run as of an earlier day, then one of today, from the command line."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.acceptance.e2e.project import Project

pytestmark = pytest.mark.e2e
FIT = {"epochs": 4, "batch_size": 64, "learning_rate": 0.01}
EARLIER = "2025-09-20"
ENCODER = {"name": "mlp", "width": 4, "hidden": [4]}
PIPELINE: dict[str, Any] = {
    "name": "tiny",
    "data": {
        "source": "visits.csv",
        "time": "day",
        "labelled_at": "labelled",
        "split": {"by": "time", "val": "21d", "test": "35d", "gap": "2d"},
        "window": "250d",
    },
    "target": {"column": "ill"},
    "inputs": {
        name: {"modality": "tabular", "columns": [name], "encoder": ENCODER, "fit": FIT}
        for name in ("x", "z")
    },
    "training": {**FIT, "folds": 2, "half_life": "60d"},
    "evaluation": {"bootstrap": 100, "robustness": {"rows": 0}, "explanations": {"samples": 0}},
    "audit": {"rows": 0},
    "engine": {"device": "cpu"},
}


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory, api: str) -> Project:
    """Five visits a day for 300 days, labelled ten days later."""
    folder = tmp_path_factory.mktemp("visits")
    rng = np.random.default_rng(0)
    days = [date(2025, 1, 1) + timedelta(days=row // 5) for row in range(1500)]
    ill = rng.random(1500) < 0.5
    table = pd.DataFrame(
        {
            "id": [f"v{row}" for row in range(1500)],
            "ill": ill,
            "x": rng.normal(ill, 0.8),
            "z": rng.normal(ill, 0.8),
            "day": days,
            "labelled": [day + timedelta(days=10) for day in days],
        }
    )
    table.loc[7, "day"] = "some day"
    table.to_csv(folder / "visits.csv", index=False)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(PIPELINE))
    return Project(folder, api)


def test_check_shows_the_borders_and_what_is_left_out(visits: Project) -> None:
    shown = visits.json("check", str(visits.config), "--set", "data.as_of=2025-09-30")
    dataset = shown["dataset"]
    assert dataset["splits"]["test"] == 35 * 5
    assert dataset["splits"]["unlabelled"] == 10 * 5
    assert dataset["left_out"] == {"gap": 2 * 2 * 5, "window": 13 * 5 - 1, "later": 27 * 5}
    assert dataset["periods"]["test"] == ["2025-08-17T00:00:00", "2025-09-20T00:00:00"]
    assert dataset["quarantined"] == 1
    text = visits.inside("check", str(visits.config)).stdout
    assert "time of test" in text
    assert "left out" in text


@pytest.fixture(scope="module")
def first(visits: Project) -> dict[str, Any]:
    """A run as of an earlier day, when the visits of the last ten days had no labels."""
    return visits.json("run", str(visits.config), "--set", f"data.as_of={EARLIER}")


def test_students_learn_from_visits_whose_labels_come_later(visits: Project, first: dict[str, Any]) -> None:
    pipeline = {**PIPELINE, "data": {**PIPELINE["data"], "as_of": EARLIER}}
    (visits.folder / "earlier.yaml").write_text(yaml.safe_dump(pipeline))
    students = {"hint": {"inputs": ["x"]}}
    lesson = {"name": "lesson", "pipeline": "earlier.yaml", "students": students, "seeds": [0]}
    (visits.folder / "lesson.yaml").write_text(yaml.safe_dump(lesson))
    distilled = visits.json("distill", str(visits.folder / "lesson.yaml"))
    expected = distilled["expected"]["hint"]
    assert expected["unlabelled"] == 10 * 5
    assert expected["teacher_noise"] < expected["label_noise"]
    assert distilled["teacher_rows_answered"] > 0


def test_a_model_of_last_month_is_compared_on_days_that_are_new_to_both(
    visits: Project, first: dict[str, Any]
) -> None:
    second = visits.json("run", str(visits.config))
    assert first["champion"]
    assert "on the same 175 test rows" in second["promotion"]
    page = Path(second["report"]).read_text("utf-8")
    assert "Over time" in page
    assert "left out: window" in page
