"""Reads a pipeline file and applies ``--set path=value``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from components.config.explain import ConfigError, choice_fields, explain
from components.config.file import read_mapping
from components.config.pipeline import PipelineConfig


def load_pipeline(path: Path | str, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Read and check a pipeline file.

    Args:
        path: YAML file.
        overrides: ``section.option=value`` each; the value is read as YAML. Changing the ``name``
            of a choice (``fusion.name=gated``) drops those options of the former choice that the
            new one lacks.

    Raises:
        ConfigError: If the file cannot be read or anything in it is not valid. The message names
            the YAML path, the value, what is allowed and the nearest right spelling.
    """
    path = Path(path)
    values = read_mapping(path, "name, data, inputs, ...", "Shipped examples are in configs/.")
    overridden(values, overrides, PipelineConfig)
    try:
        return PipelineConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, PipelineConfig, str(path))) from error


def overridden(values: dict[str, Any], overrides: Sequence[str], model: type[BaseModel]) -> None:
    """Apply each ``section.option=value`` to the values of a file that ``model`` describes."""
    # choices first: they decide which other options there are
    for text in sorted(overrides, key=lambda text: _path_and_value(text)[0][-1] != "name"):
        override(values, *_path_and_value(text), model)


def _path_and_value(text: str) -> tuple[list[str], Any]:
    name, equals, value = text.partition("=")
    if not equals or not all(name.split(".")):
        raise ConfigError(f"--set {text}: expected section.option=value, for example fusion.name=gated")
    try:
        return name.strip().split("."), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: the value is not valid YAML: {error}") from error


def override(values: dict[str, Any], path: list[str], value: Any, model: type[BaseModel]) -> None:
    """Set one option of a file that ``model`` describes; sections on the way to it are made."""
    section: Any = values
    for depth, part in enumerate(path[:-1]):
        if isinstance(section, dict):
            section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(
                f"--set {'.'.join(path)}: {'.'.join(path[: depth + 1])} holds {section!r}, not a section"
            )
    if path[-1] == "name" and len(path) > 1 and section.get("name") != value:
        kept = choice_fields(model, _with_tags(values, path[:-1]), str(value))
        for option in [key for key in section if kept is not None and key not in kept]:
            del section[option]
    section[path[-1]] = value


def _with_tags(values: dict[str, Any], path: list[str]) -> list[str]:
    """The path with the modality of each input behind its name, as the schema has it."""
    result: list[str] = []
    section: Any = values
    for depth, part in enumerate(path, start=1):
        result.append(part)
        section = section.get(part) if isinstance(section, dict) else None
        if isinstance(section, dict) and "modality" in section and depth < len(path):
            result.append(str(section["modality"]))
    return result
