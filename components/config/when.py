"""Conditions under which a scheduled retraining begins."""

from pydantic import Field, field_validator

from components.config.durations import is_long
from components.config.section import Form


class When(Form):
    """Reasons to retrain, of which one is enough; without any a run begins unless nothing is new."""

    new_rows: int | None = Field(
        None,
        ge=1,
        description="Rows for training and validation that the last run's model has not learned from.",
    )
    drift: bool = Field(False, description="Drift that `monitor` has found since the last run.")
    max_age: str | None = Field(None, description="Time since the last run, such as 30d.")

    @field_validator("max_age")
    @classmethod
    def _is_a_period(cls, max_age: str | None) -> str | None:
        return max_age and is_long(max_age)

    @property
    def is_empty(self) -> bool:
        """True without a condition."""
        return self.new_rows is None and not self.drift and self.max_age is None
