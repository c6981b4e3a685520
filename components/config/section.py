"""Base classes of all configuration sections: strict and immutable."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationInfo, field_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_LARGEST = 10**12
_LARGEST_SEED = 2**63 - 1


class Section(BaseModel):
    """Mapping of a configuration file; unknown keys are errors, numbers finite, values immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _within_reason(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a number that no machine computes with: the run would stop much later, or never."""
        largest = _LARGEST_SEED if info.field_name in ("seed", "seeds") else _LARGEST
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float) and abs(number) > largest:
                raise ValueError(f"{number:.4g} is too large; at most {largest:,} is allowed")
        return value


def heads_divide_width(section: Any) -> Any:
    """Check that ``heads`` divides ``width``, for sections of networks with attention.

    Raises:
        ValueError: If it does not.
    """
    if section.width % section.heads:
        raise ValueError(f"heads {section.heads} does not divide width {section.width}")
    return section


class Form(Section):
    """Section whose schema suits Prefect's form.

    The form shows ``int | None`` as a choice between two types, which hides the field behind a click. The
    schema of a Form says ``int``, not required, without the default null. So the form shows a plain field,
    and drops it if it is empty.
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
    """Drop null from a field's types if one other type is left, in place."""
    others = [kind for kind in field.get("anyOf", []) if kind.get("type") != "null"]
    if len(others) == 1 and len(others) < len(field["anyOf"]):
        del field["anyOf"]
        field.update({**others[0], **field})
        if field.get("default", "") is None:
            del field["default"]
