"""The distill file: what is wrong with it is told with its place and a remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config import ConfigError
from components.config.distill import load_distill

ROOT = Path(__file__).parents[3]
PIPELINE = {
    "name": "pets",
    "data": {"source": "pets.csv"},
    "inputs": {
        "photo": {"modality": "image", "columns": "photo", "encoder": {"name": "cnn"}},
        "words": {"modality": "text", "columns": "words", "encoder": {"name": "ngrams"}},
        "facts": {"modality": "tabular", "columns": ["age"], "encoder": "mlp"},
    },
}


def write(folder: Path, **changes: Any) -> Path:
    (folder / "pets.yaml").write_text(yaml.safe_dump(PIPELINE))
    values = {"name": "lesson", "pipeline": "pets.yaml", "students": {"text": {"inputs": ["words"]}}}
    (folder / "lesson.yaml").write_text(yaml.safe_dump({**values, **changes}))
    return folder / "lesson.yaml"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs").glob("*-distill.yaml")), ids=lambda path: path.stem
)
def test_shipped_files_are_valid(path: Path) -> None:
    plan = load_distill(path)
    assert plan.students
    assert plan.file.seeds == [0, 1, 2]


def test_a_student_is_its_pipeline_with_fewer_inputs_and_its_changes(tmp_path: Path) -> None:
    changes = {
        "inputs.photo.encoder.name": "resnet",
        "inputs.photo.encoder.width": 32,
        "fusion.name": "gated",
    }
    changes["fusion.name"] = "gated"
    students = {"pair": {"inputs": ["photo", "words"], "changes": changes}}
    student = load_distill(write(tmp_path, students=students)).students["pair"]
    assert list(student.inputs) == ["photo", "words"]
    assert (student.inputs["photo"].encoder.name, student.inputs["photo"].encoder.width) == ("resnet", 32)
    assert (student.model_name, student.strategy, student.fusion.name) == ("lesson-pair", "staged", "gated")


def test_an_override_changes_the_distill_file(tmp_path: Path) -> None:
    overrides = ["objective.soft.temperature=4", "seeds=[3]"]
    plan = load_distill(write(tmp_path), overrides)
    assert plan.objective("text").soft.temperature == 4
    assert plan.file.seeds == [3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"students": {"text": {"inputs": ["word"]}}}, ["students.text.inputs", "Did you mean 'words'?"]),
        (
            {"students": {"text": {"inputs": ["words"], "changes": {"target.column": "x"}}}},
            ["students.text.changes: 'target.column'", "inputs.words."],
        ),
        (
            {"students": {"text": {"inputs": ["words"], "changes": {"inputs.words.columns": "x"}}}},
            ["'inputs.words.columns'", "set it in pets.yaml"],
        ),
        (
            {"students": {"text": {"inputs": ["words"], "changes": {"inputs.words.encoder.wdith": 8}}}},
            ["students.text with pets.yaml", "inputs.words.encoder.wdith", "Did you mean 'width'?"],
        ),
        (
            {"students": {"pair": {"inputs": ["photo", "words"]}}},
            ["fusion late is fitted in one pass", "fusion.name: gated"],
        ),
        ({"objective": {"soft": {"weight": 0}}}, ["learn nothing from its teacher"]),
        ({"objektive": {}}, ["objektive: unknown option", "Did you mean 'objective'?"]),
        ({"seeds": [1, 1]}, ["each once"]),
        ({"pipeline": "pet.yaml"}, ["pet.yaml: cannot be read"]),
    ],
)
def test_an_error_names_place_and_remedy(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        load_distill(write(tmp_path, **changes))
    for word in words:
        assert word in str(error.value)
