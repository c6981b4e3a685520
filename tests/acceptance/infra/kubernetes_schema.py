"""Kubernetes objects against the models of its API: unknown fields and wrong types are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes_asyncio import client

_SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "datetime": (str,),
}
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")


def faults(resource: dict[str, Any]) -> list[str]:
    """List what is wrong with an object, each with its path; empty where nothing is."""
    group, _, version = resource.get("apiVersion", "").rpartition("/")
    prefix = "".join(part.capitalize() for part in (group.split(".")[0], version) if part)
    kind = resource.get("kind", "")
    model = next(
        (
            schema
            for name in (f"{version.capitalize()}{kind}", f"{prefix}{kind}")
            if (schema := getattr(client, name, None)) is not None
        ),
        None,
    )
    if model is None:
        return [f"{resource.get('apiVersion')} {kind}: Kubernetes has no such kind"]
    return list(_object(model, resource, f"{kind}/{resource.get('metadata', {}).get('name', '?')}"))


def _object(model: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {type(value).__name__}, expected an object ({model.__name__})"
        return
    attributes = {field: attribute for attribute, field in model.attribute_map.items()}
    for field, part in value.items():
        if field not in attributes:
            yield f"{path}.{field}: {model.__name__} has no such field"
        else:
            yield from _value(model.openapi_types[attributes[field]], part, f"{path}.{field}")
    try:  # the constructor refuses what lacks a field that has to be there
        model(**{attributes[field]: part for field, part in value.items() if field in attributes})
    except ValueError as error:
        yield f"{path}: {error}"


def _value(kind: str, value: Any, path: str) -> Iterator[str]:
    if kind.startswith("list["):
        if not isinstance(value, list):
            yield f"{path}: {type(value).__name__}, expected a list"
            return
        for index, part in enumerate(value):
            yield from _value(kind[5:-1], part, f"{path}[{index}]")
    elif kind.startswith("dict("):
        if not isinstance(value, dict):
            yield f"{path}: {type(value).__name__}, expected an object"
            return
        of = kind[5:-1].split(", ", 1)[1]
        quantities = path.rsplit(".", 1)[-1] in ("limits", "requests", "capacity")
        for name, part in value.items():
            if not quantities:
                yield from _value(of, part, f"{path}.{name}")
            elif not _QUANTITY.fullmatch(str(part)):  # the API takes numbers too
                yield f"{path}.{name}: {part!r} is no quantity"
    elif kind == "object":
        return  # an integer or a name, such as a port
    elif kind in _SCALARS:
        wrong = not isinstance(value, _SCALARS[kind]) or (isinstance(value, bool) and kind != "bool")
        if wrong:
            yield f"{path}: {value!r}, expected {kind}"
    else:
        yield from _object(getattr(client, kind), value, path)
