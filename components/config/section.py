"""The base of every configuration section: strict, immutable, each field described."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One mapping of the pipeline file. Unknown keys are errors, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
