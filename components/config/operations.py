"""operations.yaml: what ``braid up`` serves, when it runs by itself, and who is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator

from components.config.section import Section
from components.config.validation import explain
from components.config.yaml_file import read_mapping
from components.errors import ConfigError


class Schedule(Section):
    """Runs that begin by themselves."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Name, unique in its deployment.")
    cron: str = Field(description="When: minute, hour, day of the month, month, day of the week.")
    timezone: str = Field("UTC", description="Time zone of the cron line, such as Europe/Vienna.")
    active: bool = Field(True, description="Whether it begins runs; false shows it paused.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of the flow that differ from those of its form."
    )

    @field_validator("timezone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"{name!r} is not a time zone; expected one such as UTC or Europe/Vienna"
            ) from error
        return name


class DeploymentConfig(Section):
    """One flow in the dashboard."""

    schedules: list[Schedule] = Field([], description="When it runs by itself.")
    limit: int = Field(1, ge=1, description="Runs of it at a time.")
    collision: Literal["enqueue", "cancel_new"] = Field(
        "enqueue", description="What becomes of a run that would exceed the limit: it waits, or is cancelled."
    )

    @field_validator("schedules")
    @classmethod
    def _names_differ(cls, schedules: list[Schedule]) -> list[Schedule]:
        names = [schedule.name for schedule in schedules]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"the schedule {twice[0]!r} is repeated")
        return schedules


class FileDeploymentConfig(DeploymentConfig):
    """A flow that is given a file."""

    files: list[Path] = Field(
        [],
        description="Files that the form offers, relative to this one, the default first; none: not served.",
    )


class NotificationConfig(Section):
    """Who is told when a run fails, crashes or finds drift."""

    kind: Literal["slack", "teams", "webhook"] = Field(
        description="slack and teams take a message, webhook a POST of JSON."
    )
    url: str = Field(description="Where to; ${NAME} stands for an environment variable.")


class Operations(Section):
    """An operations file."""

    prefect_port: int = Field(4200, ge=0, le=65535, description="Port of Prefect's server on 127.0.0.1.")
    mlflow_port: int = Field(5000, ge=0, le=65535, description="Port of MLflow's server on 127.0.0.1.")
    runs: int = Field(2, ge=1, description="Flow runs at a time on this machine, of all deployments.")
    gpu_slots: int = Field(1, ge=1, description="Steps that may use the GPU at a time, of all runs.")
    heartbeat: int = Field(30, ge=30, description="Seconds between two signs of life of a run.")
    silence: int = Field(
        90, ge=30, description="Seconds without a sign of life after which a run counts as crashed."
    )
    retrain: FileDeploymentConfig = Field(
        default_factory=FileDeploymentConfig, description="Retraining; its files are pipelines."
    )
    sweep: FileDeploymentConfig = Field(
        default_factory=FileDeploymentConfig, description="Comparing fusions; its files are sweep files."
    )
    distill: FileDeploymentConfig = Field(
        default_factory=FileDeploymentConfig, description="Teaching students; its files are distill files."
    )
    score: DeploymentConfig = Field(default_factory=DeploymentConfig, description="Scoring tables.")
    monitor: DeploymentConfig = Field(default_factory=DeploymentConfig, description="Looking for drift.")
    retrain_on_drift: bool = Field(
        True, description="Drift that `monitor` finds starts `retrain` on the model's pipeline file."
    )
    notification: NotificationConfig | None = Field(None, description="Who is told; null tells nobody.")


def load_operations(path: Path) -> Operations:
    """Read an operations file; the files that it names become absolute.

    Raises:
        ConfigError: If the file cannot be read, anything in it is not valid, or a file is not there.
    """
    values = read_mapping(
        path, "retrain: {files: [...]}, ...", "A shipped example is configs/operations.yaml."
    )
    try:
        operations = Operations.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, Operations, str(path))) from error
    found = {}
    for name in ("retrain", "sweep", "distill"):
        section: FileDeploymentConfig = getattr(operations, name)
        files = [(path.parent / file).resolve() for file in section.files]
        for named, file in zip(section.files, files, strict=True):
            if not file.is_file():
                raise ConfigError(f"{path}: {name}.files: {named} is not a file (looked for {file})")
        found[name] = section.model_copy(update={"files": files})
    return operations.model_copy(update=found)
