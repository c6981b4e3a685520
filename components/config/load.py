"""Pipeline files with overrides ``--set path=value``."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from components.config.pipeline import PipelineConfig
from components.config.validation import choice_fields, explain
from components.config.yaml_file import read_mapping, read_yaml
from components.errors import ConfigError

_CHOICES = ("name", "task", "cure")  # no modality, as its columns would not fit another


def load_pipeline(path: Path | str, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Read and check a pipeline file.

    Args:
        path: YAML file.
        overrides: Texts ``section.option=value``, whose values are YAML. A new ``name`` of a choice
            (``fusion.name=gated``), or ``task`` of a target, drops options that the new choice lacks.

    Raises:
        ConfigError: If the file cannot be read or an option is not valid. The message gives the YAML path,
            the value, what is allowed and the nearest spelling.

    Example:
        >>> config = load_pipeline("configs/demo.yaml", ["fusion.name=gated", "seed=1"])
        >>> sorted(config.inputs), config.fusion.name, config.seed
        (['audio', 'clue', 'image'], 'gated', 1)
    """
    return configured(read_pipeline(Path(path)), overrides, str(path))


def read_pipeline(path: Path) -> dict[str, Any]:
    """Read the values of a pipeline file without a check."""
    return read_mapping(path, "name, data, inputs, ...", "Shipped examples are in configs/.")


def is_pipeline(values: Mapping[str, Any]) -> bool:
    """Return True for the values of a pipeline file, so that one in place of another file is recognised."""
    return "data" in values and "inputs" in values


def configured(values: Mapping[str, Any], overrides: Sequence[str], where: str) -> PipelineConfig:
    """Apply overrides to the values of a pipeline file and check them; see :func:`load_pipeline`.

    Args:
        values: Values from :func:`read_pipeline`.
        overrides: Texts ``section.option=value``.
        where: Name of the file, for messages.
    """
    try:
        return PipelineConfig.model_validate(overridden(values, overrides, PipelineConfig))
    except ValidationError as error:
        raise ConfigError(explain(error, PipelineConfig, where)) from error


def overridden(values: Mapping[str, Any], overrides: Sequence[str], model: type[BaseModel]) -> dict[str, Any]:
    """Copy a file's values and apply ``section.option=value``; ``model`` describes the file."""
    result = deepcopy(dict(values))
    for short in ("engine", "fusion"):  # so that engine.cluster.trainers=2 has a section
        if isinstance(result.get(short), str):
            result[short] = {"name": result[short]}
    # Choices come first, as they decide which other options exist.
    for text in sorted(overrides, key=lambda text: _path_and_value(text)[0][-1] not in _CHOICES):
        override(result, *_path_and_value(text), model)
    return result


def as_override(option: str, value: Any) -> str:
    """Write an override ``section.option=value`` that reads back as the value."""
    text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    return f"{option}={text}"


def _path_and_value(text: str) -> tuple[list[str], Any]:
    name, equals, value = text.partition("=")
    if not equals or not all(name.split(".")):
        raise ConfigError(f"--set {text}: expected section.option=value, for example fusion.name=gated")
    return name.strip().split("."), read_yaml(value, f"--set {text[:80]}: the value is not valid YAML")


def override(values: dict[str, Any], path: list[str], value: Any, model: type[BaseModel]) -> None:
    """Set one option of a file that ``model`` describes; missing sections on its path are created."""
    section: Any = values
    for depth, part in enumerate(path[:-1]):
        if isinstance(section, dict):
            section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise ConfigError(
                f"--set {'.'.join(path)}: {'.'.join(path[: depth + 1])} holds {section!r}, not a section"
            )
    if path[-1] in _CHOICES and len(path) > 1 and section.get(path[-1]) != value:
        fields = choice_fields(model, _with_tags(values, path[:-1]), str(value))
        for option in [key for key in section if fields is not None and key not in fields]:
            del section[option]
    section[path[-1]] = value


def _with_tags(values: dict[str, Any], path: list[str]) -> list[str]:
    """Return the path with the modality of each input after its name, as the schema has it."""
    result: list[str] = []
    section: Any = values
    for depth, part in enumerate(path, start=1):
        result.append(part)
        section = section.get(part) if isinstance(section, dict) else None
        if isinstance(section, dict) and "modality" in section and depth < len(path):
            result.append(str(section["modality"]))
    return result
