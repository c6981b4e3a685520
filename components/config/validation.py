"""Messages for pydantic's errors: YAML path, value, what is allowed, nearest spelling."""

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from components.errors import nearest

DISCRIMINATORS = ("name", "modality", "task", "cure")
"""Options that choose the class of their section."""


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Return a line per fault below a line with the file's name.

    Args:
        error: Error that pydantic raised.
        model: Section that was read.
        where: Name of the file.
    """
    lines = [_line(fault, model) for fault in error.errors()]
    return "\n".join(
        [f"{where} is not a valid configuration:", *(f"  {line}" for line in dict.fromkeys(lines))]
    )


def _line(fault: Any, model: type[BaseModel]) -> str:
    location = fault["loc"]
    path = ".".join(str(part) for part in _written(model, location)) or "(top level)"
    value, context = fault["input"], fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            section = _section(model, location[:-1])
            known = list(section.model_fields) if section else []
            return (
                f"{path}: unknown option; expected one of: {', '.join(known)}.{nearest(location[-1], known)}"
            )
        case "missing":
            return f"{path}: required, but not given ({_description(model, location)})"
        case "literal_error":
            words = _words(_annotations(model, location))
            return _not_one_of(path, value, words)
        case "union_tag_invalid":
            known = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
            field = context["discriminator"].strip("'()")  # a function has its option's name
            return _not_one_of(f"{path}.{field}", context["tag"], known)
        case "union_tag_not_found":
            field = context["discriminator"].strip("'")
            return f"{path}.{field}: required, but not given (chooses what the section holds)"
        case "value_error":
            return f"{path}: {context['error']}"
        case _:
            return f"{path}: {_short(value)}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"


def _not_one_of(path: str, value: Any, known: list[Any]) -> str:
    return f"{path}: {value!r} is not one of: {', '.join(map(str, known))}.{nearest(value, known)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _written(model: type[BaseModel], location: tuple[int | str, ...]) -> Iterator[int | str]:
    """Return the location as the file spells it, without the tags that pydantic adds for each choice."""
    for index, part in enumerate(location):
        if len(_sections(_annotations(model, location[:index]))) < 2:
            yield part


def choice_fields(model: type[BaseModel], path: list[str], choice: str) -> set[str] | None:
    """Return the options of the section at ``path`` for a choice of its discriminator; None if unknown."""
    section = _section(model, (*path, choice))
    return set(section.model_fields) if section else None


def _section(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """Return the class of the section at pydantic's location; None if it is not one."""
    sections = _sections(_annotations(model, location))
    return sections[0] if len(sections) == 1 else None


def _sections(annotations: list[Any]) -> list[type[BaseModel]]:
    return [item for item in annotations if isinstance(item, type) and issubclass(item, BaseModel)]


def _annotations(model: type[BaseModel], location: tuple[int | str, ...]) -> list[Any]:
    """Return the types that are allowed at pydantic's location."""
    candidates: list[Any] = [model]
    for part in location:
        step: list[Any] = []
        choice = len(_sections(candidates)) > 1  # a tag may equal an option's name
        for candidate in candidates:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                if part in candidate.model_fields and not choice:
                    step += _unwrap(candidate.model_fields[str(part)].annotation)
                elif part in _tags(candidate):
                    step.append(candidate)
            elif typing.get_origin(candidate) in (dict, list):
                step += _unwrap(typing.get_args(candidate)[-1])
        candidates = step
    return candidates


def _unwrap(annotation: Any) -> list[Any]:
    """Return the alternatives of an annotation: Annotated and unions are unpacked, containers are not."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _unwrap(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [item for argument in typing.get_args(annotation) for item in _unwrap(argument)]
    return [annotation]


def _tags(section: type[BaseModel]) -> list[Any]:
    fields = [section.model_fields[name] for name in DISCRIMINATORS if name in section.model_fields]
    return [word for field in fields for word in _words(_unwrap(field.annotation))]


def _words(annotations: list[Any]) -> list[Any]:
    """Return the values of the literals among the alternatives."""
    literals = [item for item in annotations if typing.get_origin(item) is typing.Literal]
    return [word for item in literals for word in typing.get_args(item)]


def _description(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    section = _section(model, location[:-1])
    field = section.model_fields.get(str(location[-1])) if section else None
    return (field.description if field else None) or "see the reference"
