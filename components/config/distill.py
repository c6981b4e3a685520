"""Distill file: students, their teacher, and the objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from components.config.load import load_pipeline, overridden, override
from components.config.pipeline import PipelineConfig
from components.config.section import Section
from components.config.validation import explain
from components.config.yaml_file import read_mapping
from components.errors import ConfigError, nearest

_FIXED = (
    "columns",
    "modality",
    "required",
    "silent",
)  # fixed, as the rows depend on them


class SoftConfig(Section):
    """Predictions of the teacher as targets (Hinton, Vinyals & Dean 2015)."""

    weight: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the teacher's predictions in the loss; the labels have the rest.",
    )
    temperature: float = Field(
        2.0,
        gt=0,
        description="Divisor of the logits of both. A teacher that was not cross-fitted is overconfident on "
        "its training rows; higher values soften its predictions. It does not apply to numbers.",
    )


class RelationalConfig(Section):
    """Relations between the teacher's vectors of a batch as targets (Park et al. 2019)."""

    distance: float = Field(0.0, ge=0, description="Weight of the distances of pairs.")
    angle: float = Field(0.0, ge=0, description="Weight of the angles of triplets.")


class ObjectiveConfig(Section):
    """Objective of a student besides the labels."""

    soft: SoftConfig = Field(default_factory=SoftConfig, description="Predictions of the teacher.")
    feature: float = Field(
        0.0,
        ge=0,
        description="Weight of the distance between the teacher's vector and a linear map of the student's.",
    )
    relational: RelationalConfig = Field(
        default_factory=RelationalConfig, description="Relations between rows."
    )
    alignment: float = Field(
        0.0,
        ge=0,
        description="Weight of recognising a row's teacher vector among those of its batch (InfoNCE).",
    )

    @model_validator(mode="after")
    def _a_weight_is_positive(self) -> ObjectiveConfig:
        weights = (self.soft.weight, self.feature, self.relational.distance, self.relational.angle)
        if not any((*weights, self.alignment)):
            raise ValueError("every weight is 0: a student would learn nothing from its teacher")
        return self


class StudentConfig(Section):
    """Student: a model with fewer inputs or smaller encoders."""

    inputs: list[str] = Field(min_length=1, description="Inputs of the pipeline that it uses.")
    changes: dict[str, Any] = Field(
        default_factory=dict,
        description="Options in which it differs from the pipeline, by their path there: "
        "`inputs.image.encoder.width: 32`. Its inputs, fusion and training may differ.",
    )
    objective: ObjectiveConfig | None = Field(
        None, description="Objective of this student; null takes that of the file."
    )


class DistillConfig(Section):
    """Content of a distill file."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="Students are registered as NAME-STUDENT."
    )
    pipeline: str = Field(
        description="Pipeline file, relative to this one, whose data, split, target and options are used."
    )
    teacher: str | None = Field(
        None,
        description="models:/NAME@champion, the key of a run or the folder of a bundle; null takes the "
        "champion of the pipeline's model.",
    )
    students: dict[str, StudentConfig] = Field(min_length=1, description="Named students.")
    objective: ObjectiveConfig = Field(
        default_factory=ObjectiveConfig, description="Objective of the students besides the labels."
    )
    seeds: list[int] = Field(
        list(range(8)),
        min_length=1,
        description="Seeds; each student is trained with and without the teacher for each. Eight tell a "
        "teacher's help from chance.",
    )
    register_students: bool = Field(
        False, description="Register each student's training with the best validation metric."
    )

    @field_validator("students")
    @classmethod
    def _names_are_identifiers(cls, students: dict[str, StudentConfig]) -> dict[str, StudentConfig]:
        for name in students:
            if not name.isidentifier():
                raise ValueError(f"{name!r} cannot name a student: use letters, digits and _")
        return students

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: list[int]) -> list[int]:
        if min(seeds) < 0 or len(set(seeds)) < len(seeds):
            raise ValueError(f"{seeds}: seeds are 0 or above, each once")
        return seeds


@dataclass(frozen=True)
class Plan:
    """A distill file and the pipelines that follow from it.

    Attributes:
        file: Values of the distill file.
        path: Path of the pipeline file.
        pipeline: Values of the pipeline file.
        students: Pipeline of each student, by name.
    """

    file: DistillConfig
    path: Path
    pipeline: PipelineConfig
    students: dict[str, PipelineConfig]

    def objective(self, student: str) -> ObjectiveConfig:
        """Return the objective of a student."""
        return self.file.students[student].objective or self.file.objective

    def changed(self, change: Callable[[PipelineConfig], PipelineConfig]) -> Plan:
        """Return the plan with a change of the pipeline and of those of all students."""
        students = {name: change(student) for name, student in self.students.items()}
        return replace(self, pipeline=change(self.pipeline), students=students)


def load_distill(path: Path | str, overrides: Sequence[str] = ()) -> Plan:
    """Read and check a distill file and the pipeline that it names.

    Args:
        path: YAML file.
        overrides: Texts ``section.option=value`` for the distill file, as for
            :func:`components.config.load.load_pipeline`.

    Raises:
        ConfigError: If an option is not valid, or does not fit the pipeline.
    """
    path = Path(path)
    values = read_mapping(path, "name, pipeline, students, ...", "An example is configs/emoji-distill.yaml.")
    values = overridden(values, overrides, DistillConfig)
    try:
        file = DistillConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, DistillConfig, str(path))) from error
    source = path.parent / file.pipeline
    pipeline = load_pipeline(source)
    students = {name: _student(path, source, pipeline, file, name) for name in file.students}
    return Plan(file, source, pipeline, students)


def _student(
    path: Path, source: Path, pipeline: PipelineConfig, file: DistillConfig, name: str
) -> PipelineConfig:
    """Return the pipeline of one student: its inputs, its changes, trained in stages."""
    student, where = file.students[name], f"{path}: students.{name}"
    for wanted in student.inputs:
        if wanted not in pipeline.inputs:
            known = ", ".join(pipeline.inputs)
            hint = nearest(wanted, pipeline.inputs)
            raise ConfigError(
                f"{where}.inputs: {wanted!r} is not an input of {source.name} (has: {known}).{hint}"
            )
    values = read_mapping(source, "name, data, inputs, ...", "")
    values["inputs"] = {own: value for own, value in values["inputs"].items() if own in student.inputs}
    mine = [*(f"inputs.{own}." for own in student.inputs), "fusion.", "training."]
    for option in sorted(student.changes, key=lambda option: not option.endswith(".name")):  # choices first
        if not option.startswith(tuple(mine)):
            raise ConfigError(
                f"{where}.changes: {option!r} is not the student's own; those begin with: {', '.join(mine)}"
            )
        if option.split(".")[-1] in _FIXED:
            raise ConfigError(
                f"{where}.changes: {option!r}: students have the pipeline's rows; set it in {source.name}"
            )
        override(values, option.split("."), student.changes[option], PipelineConfig)
    for own in ("alignment", "balance"):  # other changes of the loss would blur what the teacher is worth
        values.pop(own, None)
    values |= {"name": f"{file.name}-{name}", "strategy": "staged", "joint_epochs": 0}
    values["promotion"] = {**(values.get("promotion") or {}), "model": None}
    try:
        config = PipelineConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, PipelineConfig, f"{where} with {source.name}")) from error
    for own, options in config.inputs.items():
        if options.may_have_several:
            raise ConfigError(
                f"{where}: input {own!r} has several encoders in {source.name}, but a student has one: set "
                f"inputs.{own}.encoder under students.{name}.changes"
            )
    if len(config.inputs) > 1 and not config.fusion.by_gradient:
        raise ConfigError(
            f"{where}: fusion {config.fusion.name} is fitted in one pass, so it cannot be taught. "
            f"Take another under students.{name}.changes, for example fusion.name: gated"
        )
    return config
