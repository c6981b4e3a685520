"""Reads a pipeline file and applies ``--set path=value``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from components.config.explain import ConfigError, choice_fields, explain
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
    values = _read(path)
    # choices first: they decide which other options there are
    for text in sorted(overrides, key=lambda text: not _path_and_value(text)[0][-1] == "name"):
        _override(values, *_path_and_value(text))
    try:
        return PipelineConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, PipelineConfig, values, str(path))) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text("utf-8"), Loader=_Loader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Shipped examples are in configs/.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping with name, data, inputs, ...; found {type(values).__name__}")
    return values


class _Loader(yaml.SafeLoader):
    """The safe loader, which also refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if isinstance(key, str) and keys.count(key) > 1 and key != "<<"})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _path_and_value(text: str) -> tuple[list[str], Any]:
    name, equals, value = text.partition("=")
    if not equals or not all(name.split(".")):
        raise ConfigError(f"--set {text}: expected section.option=value, for example fusion.name=gated")
    try:
        return name.strip().split("."), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {text}: the value is not valid YAML: {error}") from error


def _override(values: dict[str, Any], path: list[str], value: Any) -> None:
    section: Any = values
    for depth, part in enumerate(path[:-1]):
        if isinstance(section, dict):
            section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {'.'.join(path)}: {'.'.join(path[: depth + 1])} holds {section!r}, not a section")
    if path[-1] == "name" and len(path) > 1 and section.get("name") != value:
        kept = choice_fields(PipelineConfig, _with_tags(values, path[:-1]), str(value))
        for option in [key for key in section if kept is not None and key not in kept]:
            del section[option]
    section[path[-1]] = value


def _with_tags(values: dict[str, Any], path: list[str]) -> list[str]:
    """The path with the modality of each input behind its name, as the schema has it."""
    result: list[str] = []
    section: Any = values
    for part in path:
        result.append(part)
        section = section.get(part) if isinstance(section, dict) else None
        if isinstance(section, dict) and "modality" in section and part != path[-1]:
            result.append(str(section["modality"]))
    return result
