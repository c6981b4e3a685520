"""Numbers that no machine computes with are refused in every section of every file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from pydantic import ValidationError

import components.config
from components.config.section import Section

for _module in pkgutil.walk_packages(components.config.__path__, "components.config."):
    importlib.import_module(_module.name)


def _sections(base: type[Section]) -> Iterator[type[Section]]:
    for section in base.__subclasses__():
        yield section
        yield from _sections(section)


def _kinds(annotation: Any) -> Iterator[Any]:
    """Give the types that a field takes, lists as ``[int]``."""
    if get_origin(annotation) in (list, tuple):
        yield from ([kind] for kind in get_args(annotation) if kind in (int, float))
    elif get_args(annotation):
        for each in get_args(annotation):
            yield from _kinds(each)
    else:
        yield annotation


FIELDS = [
    (section, name, 10.0**30 if kind is float else 10**30 if kind is int else [10**30])
    for section in sorted(set(_sections(Section)), key=lambda section: section.__name__)
    for name, field in section.model_fields.items()
    for kind in _kinds(field.annotation)
    if kind in (int, float, [int], [float])
]


def test_the_search_for_numbers_has_found_them() -> None:
    assert len(FIELDS) > 150


@pytest.mark.parametrize(("section", "name", "value"), FIELDS)
def test_an_absurd_number_is_refused(section: type[Section], name: str, value: object) -> None:
    with pytest.raises(ValidationError) as raised:
        section(**{name: value})  # type: ignore[arg-type]
    assert any(error["loc"][0] == name for error in raised.value.errors())
