"""Writer of docs/reference/configuration.md from the configuration's pydantic models: ``make docs``."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import annotated_types as at
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.config import PipelineConfig, TrackingConfig
from components.config.distill import DistillConfig
from components.config.monitor import MonitorConfig
from components.config.operations import Operations
from components.config.sweep import SweepConfig
from components.config.targets import task
from components.config.validation import DISCRIMINATORS

PAGE = Path(__file__).parent / "reference" / "configuration.md"
HEAD = """\
# Configuration

Every option of a pipeline file, of `mlflow.yaml`, of a sweep file, of a distill file, of `braid monitor` and
of an operations file. `make docs` writes this page from the models in `components/config`; do not edit it by
hand.

An option that is not on this page is an error: the message names the YAML path, what is allowed and the
nearest right spelling. On the command line `--set section.option=value` changes an option for one run; the
value is read as YAML. A path below has `NAME` where you give an input its name. `columns: image` is short
for `columns: [image]`.
"""
DISTILL = """\
## Distill file

The file of `braid distill`. `--set` changes options of this file, not of its pipeline.
"""
TRACKING = """\
## mlflow.yaml

The environment variables `MLFLOW_TRACKING_URI`, `MLFLOW_REGISTRY_URI` and `MLFLOW_EXPERIMENT_NAME` win over
this file. Without the file all defaults hold.
"""
OPERATIONS = """\
## Operations file

The file of `braid up`: files that the dashboard's forms offer, schedules, and who gets a message.
"""
SWEEP = """\
## Sweep file

The file of `braid sweep`. `--set` changes options of this file, not of its pipelines.
"""
MONITOR = """\
## braid monitor

Options of `braid monitor`, and of the form of the flow of that name; `--set` changes those without a flag of
their own, such as `--set min_psi=0.2`.
"""
WORDS = {int: "integer", float: "number", str: "text", Path: "path", bool: "true or false", Any: "any value"}


@dataclass
class Chapter:
    """One section class.

    Attributes:
        section: The class.
        choice: The option that chooses this section among others, and its value.
        paths: YAML paths of the section in the file.
        modalities: Modalities of the inputs that it belongs to.
    """

    section: type[BaseModel]
    choice: tuple[str, str] | None = None
    paths: list[str] = field(default_factory=list)
    modalities: list[str] = field(default_factory=list)


def page() -> str:
    """Write the whole page as Markdown."""
    files = []
    for head, root in ((SWEEP, SweepConfig), (DISTILL, DistillConfig), (OPERATIONS, Operations)):
        top, *sections = chapters(root)
        files += [head, _table(top.section), *map(_chapter, sections)]
    tracking = [TRACKING, _table(TrackingConfig)]
    monitor = [MONITOR, _table(MonitorConfig)]
    return "\n".join([HEAD, *map(_chapter, chapters(PipelineConfig)), *tracking, *files, *monitor])


def chapters(root: type[BaseModel]) -> list[Chapter]:
    """List every section class once, in the order of the file, by its last occurrence."""
    all_chapters: dict[type[BaseModel], Chapter] = {}

    def visit(section: type[BaseModel], choice: tuple[str, str] | None, path: str, modality: str) -> None:
        chapter = all_chapters[section] = all_chapters.pop(section, Chapter(section, choice))
        if choice and choice[0] == "modality":
            modality = choice[1]
        for values, value in ((chapter.paths, path), (chapter.modalities, modality)):
            if value and value not in values:
                values.append(value)
        for name, option in section.model_fields.items():
            below = f"{path}.{name}".lstrip(".")
            if typing.get_origin(option.annotation) is dict:
                below += ".NAME"
            for kind, chosen_by in _sections(option.annotation):
                visit(kind, chosen_by, below, modality)

    visit(root, None, "", "")
    return list(all_chapters.values())


def _sections(annotation: Any) -> list[tuple[type[BaseModel], tuple[str, str] | None]]:
    """List the section classes of a type, each with the option that chooses it where there are several."""
    kinds = list(_classes(annotation))
    return [(kind, _tag(kind) if len(kinds) > 1 else None) for kind in kinds]


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _classes(argument)


def _tag(section: type[BaseModel]) -> tuple[str, str]:
    option = next(name for name in reversed(DISCRIMINATORS) if name in section.model_fields)
    return option, str(section.model_fields[option].default)


def _chapter(chapter: Chapter) -> str:
    title = ", ".join(f"`{path}`" for path in sorted(chapter.paths, key=len)) or "Top level"
    if chapter.choice:
        title += " with `{}: {}`".format(*chapter.choice)
    note = " ".join((chapter.section.__doc__ or "").split())
    if chapter.choice != ("modality", *chapter.modalities) and 0 < len(chapter.modalities) < 4:
        note += f" For inputs of modality {', '.join(chapter.modalities)}."
    anchor = f'<a id="{_anchor(chapter.section)}"></a>'
    table = _table(chapter.section, chapter.choice[0] if chapter.choice else None)
    return "\n".join([anchor, "", f"## {title}", "", note, "", table])


def _table(section: type[BaseModel], chosen_by: str | None = None) -> str:
    rows = ["| option | value | default | what it does |", "|---|---|---|---|"]
    for name, option in sorted(section.model_fields.items(), key=lambda item: item[0] != chosen_by):
        needed = name == chosen_by and option.default != task({})  # a target without a task is a class
        default = "**required**" if needed else _default(option)
        cells = [f"`{name}`", _value(option), default, option.description or ""]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*rows, ""])


def _value(option: FieldInfo) -> str:
    """Describe the allowed values: a kind with its bounds, the words to choose from, or links to sections."""
    sections = _sections(option.annotation)
    if sections:
        links = ", ".join(f"[{tag[1] if tag else 'section'}](#{_anchor(kind)})" for kind, tag in sections)
        many = {dict: "names, each with a section: ", list: "list of sections: "}
        return many.get(typing.get_origin(option.annotation), "") + links
    return _kind(option.annotation, _bounds(option.metadata))


def _kind(annotation: Any, bounds: Sequence[str] = ()) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in arguments)
    if origin in (typing.Union, types.UnionType):
        plain = [argument for argument in arguments if argument is not types.NoneType]
        null = " or null" if len(plain) < len(arguments) else ""
        return ", ".join(_kind(argument, bounds) for argument in plain) + null
    if origin is typing.Annotated:
        return _kind(arguments[0], _bounds(arguments[1].metadata))
    if origin is list:
        return ", ".join([f"list of {_kind(arguments[0])}", *bounds])
    if origin is tuple:
        return f"list of {len(arguments)}: {', '.join(map(_kind, arguments))}"
    if origin is dict:
        return f"names, each with {_kind(arguments[1])}"
    unit = " characters" if annotation is str else ""
    rules = [f"of {rule}{unit}" if unit and rule.startswith("at ") else rule for rule in bounds]
    return f"{WORDS[annotation]} {', '.join(rules)}".strip()


def _bounds(rules: Sequence[Any]) -> list[str]:
    """Describe constraints in words and signs."""
    parts = []
    for rule in rules:
        match rule:
            case at.Ge():
                parts.append(f"≥ {rule.ge}")
            case at.Gt():
                parts.append(f"> {rule.gt}")
            case at.Le():
                parts.append(f"≤ {rule.le}")
            case at.Lt():
                parts.append(f"< {rule.lt}")
            case at.MinLen():
                parts.append(f"at least {rule.min_length}")
            case at.MaxLen():
                parts.append(f"at most {rule.max_length}")
            case _:  # pydantic keeps a pattern in a class that is not public
                parts.append(f"matching `{rule.pattern}`")
    return parts


def _default(option: FieldInfo) -> str:
    if option.is_required():
        return "**required**"
    value = option.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        several = len(_sections(option.annotation)) > 1
        return "`{}: {}`".format(*_tag(type(value))) if several else "its defaults"
    value = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n")
    return f"`{text.strip()}`"


def _anchor(section: type[BaseModel]) -> str:
    return section.__name__.lower()


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"wrote {PAGE.name}")
