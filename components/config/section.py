"""The base of every configuration section: strict, immutable, each field described."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Section(BaseModel):
    """One mapping of the pipeline file. Unknown keys are errors, numbers finite, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def heads_divide_width(section: Any) -> Any:
    """Validator of a section of a network with attention."""
    if section.width % section.heads:
        raise ValueError(f"heads {section.heads} does not divide width {section.width}")
    return section


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
