"""Sweep file: fusions to compare, pipelines to compare them on, and the search for options."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from components.config.fusion import FusionConfig
from components.config.load import is_pipeline, overridden
from components.config.section import Section
from components.config.training import TrainingConfig
from components.config.validation import explain
from components.config.yaml_file import read_mapping
from components.errors import ConfigError, nearest

FUSION_SECTIONS: dict[str, type[BaseModel]] = {
    str(section.model_fields["name"].default): section
    for section in typing.get_args(typing.get_args(FusionConfig)[0])
}
SWEPT = tuple(name for name in FUSION_SECTIONS if name != "plugin")
"""Fusions of ``fusions: all``."""
ONE_PASS = ("late", "trees")
"""Fusions that are fitted to what the inputs say, without epochs; nothing is searched."""


class SpaceConfig(Section):
    """Values of one option for the search: a range, or choices."""

    low: float | None = Field(None, description="Lowest value of a range.")
    high: float | None = Field(None, description="Highest value of a range.")
    log: bool = Field(False, description="Draw from the range on a logarithmic scale.")
    step: float | None = Field(None, gt=0, description="Distance between two values; null allows all.")
    choices: list[Any] | None = Field(
        None, min_length=1, description="Values to choose from, instead of a range."
    )

    @model_validator(mode="after")
    def _is_a_range_or_choices(self) -> SpaceConfig:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("expected either low and high, or choices")
        if self.choices is not None and (self.low, self.high, self.step, self.log) != (
            None,
            None,
            None,
            False,
        ):
            raise ValueError("choices exclude low, high, log and step")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} has to be below high {self.high:g}")
        if self.log and self.step is not None:
            raise ValueError("step divides a range evenly, log does not: take one of them")
        if self.log and self.low is not None and self.low <= 0:
            raise ValueError(f"log needs a range above 0, low is {self.low:g}")
        return self

    @property
    def values(self) -> list[Any]:
        """Choices, or both ends of the range."""
        return [self.low, self.high] if self.choices is None else self.choices


class SearchConfig(Section):
    """Search for options by Optuna, separate for each fusion, pipeline and seed."""

    trials: int = Field(0, ge=0, le=1_000_000, description="Trials besides the defaults; 0 does not search.")
    space: dict[str, SpaceConfig] = Field(
        default_factory=dict,
        description="Options to search, by path below `fusion.` or `training.`, such as `fusion.width`. A "
        "fusion "
        "without the option ignores it.",
    )


class SweepConfig(Section):
    """Content of a sweep file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="Name of the runs.")
    pipelines: list[str] = Field(min_length=1, description="Pipeline files, relative to this one.")
    fusions: list[str] | None = Field(
        None, min_length=1, description="Fusions to compare; null, or the word `all`, is all but plugin."
    )
    seeds: list[int] = Field([0, 1, 2], min_length=1, description="Seeds; each repeats everything.")
    search: SearchConfig = Field(default_factory=SearchConfig, description="Search for options.")
    pruning: bool = Field(
        False,
        description="Stop a trial early if its validation metric is below the median of earlier trials.",
    )
    parallel: int = Field(
        2, ge=1, le=1_024, description="Trials at a time, in processes that share the cores."
    )
    budget: int | None = Field(
        None,
        ge=1,
        description="Trainable parameters of a second comparison, to which each fusion's width is adjusted; "
        "null skips it.",
    )
    register_winner: bool = Field(
        True, description="Run each pipeline with its winner and register the model."
    )

    @field_validator("fusions", mode="before")
    @classmethod
    def _all_is_a_word(cls, fusions: Any) -> Any:
        return None if fusions == "all" else fusions

    @field_validator("fusions")
    @classmethod
    def _are_fusions(cls, fusions: list[str] | None) -> list[str] | None:
        for name in fusions or []:
            if name not in SWEPT:
                raise ValueError(f"{name!r} is not one of: {', '.join(SWEPT)}.{nearest(name, SWEPT)}")
        return fusions

    @field_validator("fusions", "seeds", "pipelines")
    @classmethod
    def _differ(cls, values: list[Any] | None) -> list[Any] | None:
        repeated = [value for value in values or [] if (values or []).count(value) > 1]
        if repeated:
            raise ValueError(f"{repeated[0]!r} is repeated")
        return values

    @field_validator("seeds")
    @classmethod
    def _are_seeds(cls, seeds: list[int]) -> list[int]:
        if min(seeds) < 0:
            raise ValueError(f"{min(seeds)} is not a seed: 0 or more")
        return seeds

    @model_validator(mode="after")
    def _space_is_of_options(self) -> SweepConfig:
        for path, space in self.search.space.items():
            having = [field for name in self.fusion_names if (field := option(name, path)) is not None]
            if not having:
                known = sorted({path for name in self.fusion_names for path in options(name)})
                raise ValueError(
                    f"search.space.{path}: none of the fusions has this option.{nearest(path, known)} "
                    f"There are: {', '.join(known)}"
                )
            for field in having:
                for value in space.values:
                    _check(field, value, f"search.space.{path}", whole=space.choices is None)
        return self

    @property
    def fusion_names(self) -> tuple[str, ...]:
        """Names of the fusions to compare."""
        return SWEPT if self.fusions is None else tuple(self.fusions)


def load_sweep(path: Path | str, overrides: Sequence[str] = ()) -> SweepConfig:
    """Read and check a sweep file; a pipeline file stands for a sweep of that pipeline with all defaults.

    Args:
        path: YAML file.
        overrides: Texts ``section.option=value``.

    Raises:
        ConfigError: If the file cannot be read or an option is not valid.
    """
    values = read_mapping(Path(path), "name, pipelines, ...", "A shipped example is configs/bakeoff.yaml.")
    if is_pipeline(values):
        values = {"name": f"{str(values.get('name'))[:90]}-sweep", "pipelines": [Path(path).name]}
    try:
        return SweepConfig.model_validate(overridden(values, overrides, SweepConfig))
    except ValidationError as error:
        raise ConfigError(explain(error, SweepConfig, str(path))) from error


def option(fusion: str, path: str) -> FieldInfo | None:
    """Return the field at a path below ``fusion.`` or ``training.``; None if the fusion lacks it."""
    return None if fusion in ONE_PASS else options(fusion).get(path)


def options(fusion: str) -> dict[str, FieldInfo]:
    """Return all options of a fusion and its training that can be searched, by path."""
    fields = {**_below(FUSION_SECTIONS[fusion], "fusion"), **_below(TrainingConfig, "training")}
    return {path: field for path, field in fields.items() if path != "fusion.name"}


def is_whole(field: FieldInfo) -> bool:
    """Return True if an option takes only whole numbers."""
    kinds = typing.get_args(field.annotation) or (field.annotation,)
    return int in kinds and float not in kinds


def _below(section: type[BaseModel], prefix: str) -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = {}
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields |= _below(kind, f"{prefix}.{name}")
        else:
            fields[f"{prefix}.{name}"] = field
    return fields


def _check(field: FieldInfo, value: Any, path: str, whole: bool) -> None:
    if whole and is_whole(field):
        value = int(value) if float(value).is_integer() else value
    try:
        TypeAdapter(Annotated[field.annotation, field]).validate_python(value)  # type: ignore[arg-type]  # the type is built at run time
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise ValueError(f"{path}: {value!r}: {message[:1].lower()}{message[1:]}") from error
