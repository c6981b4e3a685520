"""operations.yaml, and the fields of the dashboard's forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from components.config import ConfigError, load_pipeline
from components.config.distill import load_distill
from components.config.forms import AnyFusion, DistillChanges, RetrainChanges, SweepChanges
from components.config.operations import RetrainSchedule, load_operations
from components.config.score import ScoreConfig
from components.config.sweep import SWEPT, load_sweep
from components.runtime.environ import filled

CONFIGS = Path(__file__).parents[3] / "configs"


def write(folder: Path, **settings: Any) -> Path:
    (folder / "pipeline.yaml").touch()
    file = folder / "operations.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def retrained_when(**conditions: Any) -> dict[str, Any]:
    return {"retrain": {"schedules": [{"name": "a", "cron": "* * * * *", "when": conditions}]}}


def test_a_schedule_of_retraining_has_conditions(tmp_path: Path) -> None:
    result = load_operations(write(tmp_path, **retrained_when(new_rows=500, max_age="30d")))
    (schedule,) = result.retrain.schedules
    assert (schedule.when.new_rows, schedule.when.drift, schedule.when.max_age) == (500, False, "30d")
    assert not schedule.when.is_empty
    assert RetrainSchedule(name="b", cron="* * * * *").when.is_empty


def test_files_become_absolute_and_the_rest_has_defaults(tmp_path: Path) -> None:
    result = load_operations(write(tmp_path, retrain={"files": ["pipeline.yaml"]}))
    assert result.retrain.files == [(tmp_path / "pipeline.yaml").resolve()]
    assert (result.retrain.limit, result.retrain.collision, result.sweep.files) == (1, "enqueue", [])


def test_a_pipeline_file_stands_for_its_retraining(tmp_path: Path) -> None:
    file = tmp_path / "shoes.yaml"
    file.write_text(yaml.safe_dump({"name": "shoes", "data": {"source": "shoes.csv"}, "inputs": {}}))
    result = load_operations(file)
    assert result.retrain.files == [file.resolve()]
    assert (result.retrain.schedules, result.sweep.files) == ([], [])


def test_the_shipped_example_is_valid_and_does_not_retrain_by_itself() -> None:
    result = load_operations(CONFIGS / "operations.yaml")
    assert result.retrain.files[0] == CONFIGS / "demo.yaml"
    assert [schedule.active for schedule in result.retrain.schedules] == [False]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"retrain": {"files": ["pipelin.yaml"]}}, "retrain.files: pipelin.yaml is not a file"),
        ({"sweep": {"file": []}}, "sweep.file: unknown option"),
        (retrained_when(new_rows=0), "when.new_rows"),
        (retrained_when(max_age="0d"), "'0d' is no time at all"),
        (retrained_when(loss=True), "when.loss: unknown option"),
        ({"sweep": {"schedules": [{"name": "a", "cron": "* * * * *", "when": {}}]}}, "when: unknown option"),
        ({"retrain": {"collision": "replace"}}, "retrain.collision: 'replace' is not one of"),
        (
            {"score": {"schedules": [{"name": "a", "cron": "* * * * *", "timezone": "Europe/Viena"}]}},
            "'Europe/Viena' is not a time zone",
        ),
        (
            {
                "score": {
                    "schedules": [{"name": "a", "cron": "0 1 * * *"}, {"name": "a", "cron": "0 2 * * *"}]
                }
            },
            "the schedule 'a' is repeated",
        ),
        ({"heartbeat": 5}, "heartbeat"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=r"operations\.yaml") as error:
        load_operations(write(tmp_path, **settings))
    assert expected in str(error.value)


def test_a_variable_is_filled_in_and_one_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    assert filled("https://x/${TOKEN}/y", "notification.url") == "https://x/s3cret/y"
    monkeypatch.delenv("TOKEN")
    with pytest.raises(ConfigError, match=r"notification\.url: the environment variable TOKEN is not set"):
        filled("${TOKEN}", "notification.url")


def test_the_form_offers_every_fusion() -> None:
    assert set(AnyFusion.__args__) == set(SWEPT)  # type: ignore[attr-defined]  # of a Literal


def test_filled_fields_are_options_of_the_pipeline_file() -> None:
    changes = RetrainChanges(
        quality="fast",
        time_limit="10m",
        fusion="tensor",
        epochs=3,
        learning_rate=0.01,
        batch_size=16,
        seed=5,
        promotion="dry_run",
        device="cpu",
        strategy="joint",
    )
    assert set(RetrainChanges.model_fields) == set(changes.model_dump())
    config = load_pipeline(CONFIGS / "demo.yaml", changes.overrides())
    assert config.time_limit == "10m"
    assert (config.quality, config.evaluation.explanations.samples) == ("fast", 1)
    assert (config.fusion.name, config.training.epochs, config.training.learning_rate) == ("tensor", 3, 0.01)
    assert (config.training.batch_size, config.seed, config.strategy) == (16, 5, "joint")
    assert (config.promotion.mode, config.engine.device) == ("dry_run", "cpu")


def test_empty_fields_change_nothing() -> None:
    assert RetrainChanges().overrides() == SweepChanges().overrides() == DistillChanges().overrides() == []
    assert RetrainChanges().model_dump(mode="json") == {}


def test_fields_of_the_other_forms_are_options_of_their_files() -> None:
    swept = SweepChanges(fusions=["late", "sum"], seeds=[4], trials=2, register_winner=False)
    sweep = load_sweep(CONFIGS / "demo-sweep.yaml", swept.overrides())
    assert (sweep.fusion_names, sweep.seeds) == (("late", "sum"), [4])
    assert (sweep.search.trials, sweep.register_winner) == (2, False)
    taught = DistillChanges(teacher="models:/demo@champion", seeds=[7], register_students=True)
    plan = load_distill(CONFIGS / "demo-distill.yaml", taught.overrides())
    assert (plan.file.teacher, plan.file.seeds) == ("models:/demo@champion", [7])
    assert plan.file.register_students


def test_a_field_that_may_stay_empty_is_a_plain_field_of_the_form() -> None:
    field = RetrainChanges.model_json_schema()["properties"]["epochs"]
    assert (field["type"], field["minimum"], "default" in field, "anyOf" in field) == (
        "integer",
        1,
        False,
        False,
    )
    properties = ScoreConfig.model_json_schema()["properties"]
    assert properties["sql"]["format"] == "password"
    assert properties["max_bad"]["default"] == 0.05
    with pytest.raises(ValidationError):
        RetrainChanges(epochs=0)
