"""The base of every configuration section: strict, immutable, each field described."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One mapping of the pipeline file. Unknown keys are errors, numbers finite, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def heads_divide_width(section: Any) -> Any:
    """Validator of a section of a network with attention."""
    if section.width % section.heads:
        raise ValueError(f"heads {section.heads} does not divide width {section.width}")
    return section
