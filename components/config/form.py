"""Sections that people fill in in the dashboard: a field that may stay empty is an empty field there."""

from __future__ import annotations

from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from components.config.section import Section


class Form(Section):
    """A section whose schema is shaped for Prefect's form.

    The form shows ``int | None`` as a choice between two types, with the field a click away. Here the
    schema says ``int``, not required, without the default null: a plain field, left out where it is empty.
    """

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        for field in handler.resolve_ref_schema(schema)["properties"].values():
            _without_null(field)
        return schema


def _without_null(field: dict[str, Any]) -> None:
    """Drop null from a field's types where one other is left, in place."""
    others = [kind for kind in field.get("anyOf", []) if kind.get("type") != "null"]
    if len(others) == 1 and len(others) < len(field["anyOf"]):
        del field["anyOf"]
        field.update({**others[0], **field})
        if field.get("default", "") is None:
            del field["default"]
