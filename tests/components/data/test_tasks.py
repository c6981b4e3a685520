"""A target without a task gets the one that its column suggests; a given task always holds."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from components.config import PipelineConfig
from components.config.distill import load_distill
from components.config.sweep import SweepConfig
from components.config.targets import ClassificationTarget, RegressionTarget
from components.data.ingest import ingest
from components.data.tasks import measured_targets, settle_tasks, with_regression
from components.errors import DataError
from components.sweep.plan import expand

ROWS = 120
COLUMNS: dict[str, list[Any]] = {
    "price": [f"{row * 1.25 + 1:.2f}" for row in range(ROWS)],
    "comma": [f"{row * 7},25 €" for row in range(ROWS)],
    "count": [str(row * 37) for row in range(ROWS)],
    "grade": [str(row % 5 + 1) for row in range(ROWS)],
    "half": [str(row % 9 / 2) for row in range(ROWS)],
    "emoji": [str(row % 24) for row in range(ROWS)],
    "truth": ["0", "1"] * (ROWS // 2),
    "word": ["red", "green", "blue"] * (ROWS // 3),
    "zip": [f"{10115 + row % 30}" for row in range(ROWS)],
    "key": [f"row {row}" for row in range(ROWS)],
    "same": ["red"] * ROWS,
}


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., PipelineConfig]:
    """Make a pipeline with this target from the table of COLUMNS."""
    frame = pd.DataFrame({"id": range(ROWS), **COLUMNS})
    frame["text"] = "a text"
    frame.to_csv(tmp_path / "t.csv", index=False)

    def make(further: list[Any] | None = None, /, **target: Any) -> PipelineConfig:
        return PipelineConfig.model_validate(
            {
                "name": "t",
                "data": {"source": str(tmp_path / "t.csv")},
                "target": target,
                "further_targets": further or [],
                "inputs": {"note": {"modality": "text", "columns": "text"}},
            }
        )

    return make


@pytest.mark.parametrize("column", ["price", "comma", "count"])
def test_many_numbers_are_a_regression_and_that_is_said(
    config: Any, tmp_path: Path, column: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        settled = settle_tasks(config(column=column), tmp_path, tmp_path)
    assert settled.target == RegressionTarget(column=column)
    assert f"target '{column}' has {ROWS} different numbers, so its task is regression" in caplog.text
    ingest(settled, tmp_path / "out", tmp_path)


@pytest.mark.parametrize("column", ["grade", "half", "emoji", "truth", "word", "zip"])
def test_few_values_words_and_codes_are_classes(config: Any, tmp_path: Path, column: str) -> None:
    asked = config(column=column)
    assert settle_tasks(asked, tmp_path, tmp_path) == asked


def test_a_further_target_is_settled_too(config: Any, tmp_path: Path) -> None:
    settled = settle_tasks(
        config([{"column": "price"}, {"column": "grade"}], column="word"), tmp_path, tmp_path
    )
    assert [target.task for target in settled.targets.values()] == [
        "classification",
        "regression",
        "classification",
    ]


@pytest.mark.parametrize("given", [{"task": "classification"}, {"metric": "f1_macro"}])
def test_a_given_task_holds(config: Any, tmp_path: Path, given: dict[str, str]) -> None:
    asked = config(column="price", **given)
    assert isinstance(settle_tasks(asked, tmp_path, tmp_path).target, ClassificationTarget)


def test_what_cannot_be_read_is_left_to_ingest(config: Any, tmp_path: Path) -> None:
    asked = config(column="prise")
    assert settle_tasks(asked, tmp_path, tmp_path) == asked


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (
            {"column": "key"},
            "'key' has 120 different values in 120 rows, so nearly each row would be a class",
        ),
        ({"column": "key", "task": "classification"}, "nearly each row would be a class"),
        ({"column": "same"}, "all training rows have the label 'red'"),
        ({"column": "price"}, "task: regression"),
    ],
)
def test_what_cannot_be_classes_is_refused(
    config: Any, tmp_path: Path, target: dict[str, str], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        ingest(config(**target), tmp_path / "out", tmp_path)


def test_numbers_are_no_classes_unless_the_file_says_so(config: Any, tmp_path: Path) -> None:
    frame = pd.read_csv(tmp_path / "t.csv", dtype=str).assign(
        mass=[f"{row % 30 * 1.5}" for row in range(ROWS)]
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        DataError, match=r"30 different values in 120 rows, all of them numbers\. Set target\.task"
    ):
        ingest(config(column="mass"), tmp_path / "out", tmp_path)
    dataset = ingest(config(column="mass", task="classification"), tmp_path / "out", tmp_path)
    assert len(dataset.targets.primary.columns) == 30


def test_sweeps_and_students_guess_by_the_same_rule(
    config: Callable[..., PipelineConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values = config(column="price").model_dump(mode="json", exclude_unset=True)
    values["inputs"]["more"] = {"modality": "text", "columns": "word"}
    values["inputs"]["note"]["encoder"] = "tfidf"
    (tmp_path / "p.yaml").write_text(json.dumps(values))
    (tmp_path / "d.yaml").write_text(
        json.dumps({"name": "d", "pipeline": "p.yaml", "students": {"small": {"inputs": ["note"]}}})
    )
    sweep = SweepConfig(name="s", pipelines=["p.yaml"], fusions=["concat"])
    (entry,) = expand(tmp_path / "s.yaml", sweep, tmp_path)
    assert entry.config.target == RegressionTarget(task="regression", column="price")
    assert entry.configured(["seed=3"]).target == entry.config.target
    plan = load_distill(tmp_path / "d.yaml")
    assert isinstance(plan.students["small"].target, ClassificationTarget)
    columns = measured_targets(plan.pipeline, tmp_path, tmp_path)
    plan = plan.changed(partial(with_regression, columns=columns))
    assert plan.pipeline.target == plan.students["small"].target == entry.config.target
    assert caplog.text.count("so its task is regression") == 2
