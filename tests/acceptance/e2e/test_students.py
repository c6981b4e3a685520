"""Distillation from images into text, and the other way round: the shipped files on the real emoji.

The images' network gets a fifth of its epochs: what is tested is that both students are taught, measured
and told of honestly. What they gain from the full file stands in docs/results/real-data.md.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.acceptance.e2e.project import ROOT, Project

pytestmark = [pytest.mark.e2e, pytest.mark.shared_data, pytest.mark.slow]
MANIFEST = ROOT.parent / "shared/data/emoji/manifest.csv"
EPOCHS = 5
TEST_ROWS = 367


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory, api: str) -> dict[str, Any]:
    """The teacher trained, then both students with one seed; what ``braid distill --json`` prints."""
    if not MANIFEST.exists():
        pytest.skip(f"{MANIFEST} is not there: the development data sets lie beside the checkout")
    project = Project(tmp_path_factory.mktemp("emoji"), api)
    pipeline = yaml.safe_load((ROOT / "configs/emoji.yaml").read_text())
    pipeline["data"]["source"] = str(MANIFEST)
    pipeline["inputs"]["image"]["fit"]["epochs"] = EPOCHS
    pipeline["evaluation"] = {"robustness": {"rows": 0}, "explanations": {"samples": 0}}
    (project.folder / "emoji.yaml").write_text(yaml.safe_dump(pipeline))
    (project.folder / "lesson.yaml").write_text((ROOT / "configs/emoji-distill.yaml").read_text())
    for command in (("run", "emoji.yaml"), ("distill", "lesson.yaml", "--set", "seeds=[0]")):
        done = project.braid(*command, "--json")
        assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_teacher_has_both_inputs_and_each_student_one(lesson: dict[str, Any]) -> None:
    assert lesson["teacher_inputs"] == ["image", "keywords"]
    assert {name: student["inputs"] for name, student in lesson["students"].items()} == {
        "text": ["keywords"],
        "image": ["image"],
    }


def test_each_student_is_measured_alone_and_with_help_on_the_same_test_rows(lesson: dict[str, Any]) -> None:
    assert lesson["rows"] == TEST_ROWS
    for name, student in lesson["students"].items():
        right = [student[key] * TEST_ROWS for key in ("alone", "with_teacher")]
        assert right == pytest.approx([round(each) for each in right], abs=1e-6), name
        gain = student["gain"]
        assert gain["value"] == pytest.approx(student["with_teacher"] - student["alone"], abs=1e-12)
        assert gain["low"] <= gain["value"] <= gain["high"]


def test_students_know_what_their_input_holds(lesson: dict[str, Any]) -> None:
    """Bounds far below what the full file reaches (.899, .651), far above the largest group's share (.19)."""
    text, image = (lesson["students"][name] for name in ("text", "image"))
    assert min(text["alone"], text["with_teacher"]) > 0.8
    assert min(image["alone"], image["with_teacher"]) > 0.4


def test_help_is_claimed_only_where_the_interval_says_so(lesson: dict[str, Any]) -> None:
    for student in lesson["students"].values():
        low, high = student["gain"]["low"], student["gain"]["high"]
        expected = "yes" if low > 0 else "no" if high <= 0 else "unclear"
        assert student["helps"] == expected
