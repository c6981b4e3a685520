"""The descriptions are the dashboard's form and the reference page: none may be missing."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from components.config import PipelineConfig, TrackingConfig
from components.config.forms import DistillChanges, RetrainChanges, SweepChanges
from components.config.operations import Operations
from components.config.score import ScoreConfig
from components.config.section import Section
from components.config.sweep import SweepConfig


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every section that a type leads to, itself included."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from sections(field.annotation)
    for argument in typing.get_args(annotation):
        yield from sections(argument)


FORMS = (RetrainChanges, SweepChanges, DistillChanges, ScoreConfig)
ROOTS = (PipelineConfig, TrackingConfig, SweepConfig, Operations, *FORMS)
ALL = sorted({kind for root in ROOTS for kind in sections(root)}, key=lambda section: section.__name__)


def test_the_walk_finds_sections_behind_unions_lists_and_mappings() -> None:
    names = {section.__name__ for section in ALL}
    assert {"ModalityDropout", "PretrainedConfig", "TabularAugment", "SplitConfig"} <= names


@pytest.mark.parametrize("section", ALL, ids=lambda section: section.__name__)
def test_every_field_is_described_in_a_sentence(section: type[BaseModel]) -> None:
    assert issubclass(section, Section)
    assert section.__doc__
    for name, field in section.model_fields.items():
        assert field.description, f"{section.__name__}.{name} has no description"
        assert field.description.endswith("."), f"{section.__name__}.{name}: {field.description}"


@pytest.mark.parametrize("section", ALL, ids=lambda section: section.__name__)
def test_every_section_refuses_what_it_does_not_know_and_cannot_change(section: type[BaseModel]) -> None:
    assert section.model_config["extra"] == "forbid"
    assert section.model_config["frozen"]
