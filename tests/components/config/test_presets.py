"""A quality fills the options that a file leaves open, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components.config import PipelineConfig
from components.config.evaluation import EvaluationConfig
from components.config.load import configured
from components.config.presets import FITS, PRESETS, preset_of

FILE: dict[str, Any] = {
    "name": "shop",
    "data": {"source": "rows.csv"},
    "inputs": {
        "note": {"modality": "text", "columns": "note", "encoder": {"name": "gru"}},
        "facts": {"modality": "tabular", "columns": ["size"], "fit": {"epochs": 7}},
    },
}


def test_good_is_the_default_of_every_option() -> None:
    config = PipelineConfig.model_validate(FILE)
    assert config.quality == "good"
    assert preset_of(config) == {}
    assert config == PipelineConfig.model_validate({**FILE, "quality": "good"})
    assert PRESETS["good"] == FITS["good"] == {}


def test_fast_fills_what_is_open_and_keeps_what_is_set() -> None:
    values = {**FILE, "quality": "fast", "evaluation": {"robustness": {"rows": 9}}}
    config = PipelineConfig.model_validate(values)
    fast = FITS["fast"]["epochs"]
    assert config.training.epochs == config.inputs["note"].fit.epochs == fast
    assert config.inputs["facts"].fit.epochs == 7
    assert config.inputs["facts"].fit.patience == FITS["fast"]["patience"]
    assert config.evaluation.robustness.rows == 9
    assert config.evaluation.robustness.severities == [3]
    chosen = preset_of(config)
    assert chosen["inputs.note.fit.epochs"] == chosen["training.epochs"] == fast
    assert "inputs.facts.fit.epochs" not in chosen
    assert "evaluation.robustness.rows" not in chosen


def test_best_trains_longer_than_good_and_fast_shorter() -> None:
    fast, good, best = (
        PipelineConfig.model_validate({**FILE, "quality": quality}).training.epochs
        for quality in ("fast", "good", "best")
    )
    assert fast < good < best


def test_an_override_of_the_quality_changes_no_option_of_the_file() -> None:
    config = configured(FILE, ["quality=fast", "training.epochs=44"], "shop.yaml")
    assert (config.training.epochs, config.inputs["facts"].fit.epochs) == (44, 7)
    assert config.inputs["note"].fit.epochs == FITS["fast"]["epochs"]


def test_a_config_that_is_written_out_reads_back_as_itself() -> None:
    config = PipelineConfig.model_validate({**FILE, "quality": "fast"})
    assert PipelineConfig.model_validate(config.model_dump(mode="json")) == config
    assert PipelineConfig.model_validate(config.model_dump(mode="json", exclude_unset=True)) == config


def test_checked_sections_are_filled_too() -> None:
    values = {**FILE, "quality": "fast", "evaluation": EvaluationConfig(bootstrap=500)}
    config = PipelineConfig.model_validate(values)
    assert (config.evaluation.bootstrap, config.evaluation.explanations.samples) == (500, 1)
    own = EvaluationConfig.model_validate({"explanations": {"samples": 5}})
    filled = PipelineConfig.model_validate({**FILE, "quality": "fast", "evaluation": own}).evaluation
    assert (filled.explanations.samples, filled.explanations.detail) == (5, 16)


@pytest.mark.parametrize("quality", ["great", 3, None, []])
def test_an_unknown_quality_is_an_error_that_names_the_option(quality: Any) -> None:
    with pytest.raises(ValidationError, match="quality"):
        PipelineConfig.model_validate({**FILE, "quality": quality})


@pytest.mark.parametrize("inputs", [None, [], {"note": None}, {"note": 3}])
def test_a_broken_file_is_reported_by_its_check_and_not_by_the_preset(inputs: Any) -> None:
    with pytest.raises(ValidationError, match="inputs"):
        PipelineConfig.model_validate({**FILE, "quality": "fast", "inputs": inputs})
