"""The distill file: which students learn from which teacher, and by what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from components.config.fusion import LateConfig
from components.config.load import load_pipeline, overridden, override
from components.config.pipeline import PipelineConfig
from components.config.section import Section
from components.config.validation import explain
from components.config.yaml_file import read_mapping
from components.errors import ConfigError, nearest

_FIXED = ("columns", "modality", "required", "silent")  # what the rows themselves depend on


class SoftConfig(Section):
    """The teacher's answers as targets (Hinton, Vinyals & Dean 2015)."""

    weight: float = Field(
        0.5, ge=0, le=1, description="Share of the teacher's answers in the loss; the labels have the rest."
    )
    temperature: float = Field(
        2.0,
        gt=0,
        description="Divides the logits of both before they are compared. The teacher has seen the training "
        "rows, so it is surer of them than of others: higher values soften that. Numbers are not softened.",
    )


class RelationalConfig(Section):
    """Relations between the rows of a batch, as the teacher sees them (Park et al. 2019)."""

    distance: float = Field(0.0, ge=0, description="Weight of the distances of pairs.")
    angle: float = Field(0.0, ge=0, description="Weight of the angles of triplets.")


class ObjectiveConfig(Section):
    """What a student learns from its teacher by, besides the labels."""

    soft: SoftConfig = Field(default_factory=SoftConfig, description="The teacher's answers.")
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
        description="Weight of telling a row's own teacher vector among those of its batch (InfoNCE).",
    )

    @model_validator(mode="after")
    def _something_is_taught(self) -> ObjectiveConfig:
        weights = (self.soft.weight, self.feature, self.relational.distance, self.relational.angle)
        if not any((*weights, self.alignment)):
            raise ValueError("every weight is 0: a student would learn nothing from its teacher")
        return self


class StudentConfig(Section):
    """A model that does without some inputs, or with smaller encoders."""

    inputs: list[str] = Field(min_length=1, description="Inputs of the pipeline that it has.")
    changes: dict[str, Any] = Field(
        default_factory=dict,
        description="Options in which it differs from the pipeline, by their path there: "
        "`inputs.image.encoder.width: 32`. Its inputs, fusion and training may differ.",
    )
    objective: ObjectiveConfig | None = Field(
        None, description="What it learns by; null takes the file's own objective."
    )


class DistillConfig(Section):
    """A whole distill file."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Students are registered as NAME-STUDENT."
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
        default_factory=ObjectiveConfig, description="What students learn by, besides the labels."
    )
    seeds: list[int] = Field(
        [0, 1, 2], min_length=1, description="Each student is trained once alone and once taught for each."
    )
    register_students: bool = Field(
        False, description="Register of each student the training that did best on validation."
    )

    @field_validator("students")
    @classmethod
    def _names_fit_into_others(cls, students: dict[str, StudentConfig]) -> dict[str, StudentConfig]:
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
        file: What the distill file says.
        path: Of the pipeline file.
        pipeline: What that says.
        students: Each student's own pipeline.
    """

    file: DistillConfig
    path: Path
    pipeline: PipelineConfig
    students: dict[str, PipelineConfig]

    def objective(self, student: str) -> ObjectiveConfig:
        """What a student learns by."""
        return self.file.students[student].objective or self.file.objective


def load_distill(path: Path | str, overrides: Sequence[str] = ()) -> Plan:
    """Read and check a distill file and the pipeline that it names.

    Args:
        path: YAML file.
        overrides: ``section.option=value`` of the distill file each, as for
            :func:`components.config.load.load_pipeline`.

    Raises:
        ConfigError: If anything in it is not valid, or does not fit the pipeline.
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
    """The pipeline of one student: fewer inputs, its own changes, trained in stages."""
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
    if len(config.inputs) > 1 and isinstance(config.fusion, LateConfig):
        raise ConfigError(
            f"{where}: late fusion learns from validation rows only how to pool, so it cannot be taught. "
            f"Take another under students.{name}.changes, for example fusion.name: gated"
        )
    return config
