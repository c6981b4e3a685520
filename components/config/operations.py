"""operations.yaml: deployments, schedules and notifications of ``braid up``."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from components.config.durations import time_zone
from components.config.load import is_pipeline
from components.config.section import Section
from components.config.validation import explain
from components.config.when import When
from components.config.yaml_file import read_mapping
from components.errors import ConfigError


class Schedule(Section):
    """Schedule that starts runs."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="Name, unique in its deployment.")
    cron: str = Field(description="Times: minute, hour, day of the month, month, day of the week.")
    timezone: str = Field("UTC", description="Time zone of the cron line, such as Europe/Vienna.")
    active: bool = Field(True, description="Whether the schedule starts runs; false shows it as paused.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="Parameters of the flow that differ from its form."
    )

    @field_validator("timezone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        return time_zone(name)


class DeploymentConfig(Section):
    """Deployment of one flow in the dashboard."""

    schedules: list[Schedule] = Field([], description="Schedules of the flow.")
    limit: int = Field(1, ge=1, le=10_000, description="Most runs of the flow at a time.")
    collision: Literal["enqueue", "cancel_new"] = Field(
        "enqueue", description="A run beyond the limit waits (enqueue) or is cancelled (cancel_new)."
    )

    @field_validator("schedules")
    @classmethod
    def _names_differ(cls, schedules: list[Schedule]) -> list[Schedule]:
        names = [schedule.name for schedule in schedules]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"the schedule {repeated[0]!r} is repeated")
        return schedules


class FileDeploymentConfig(DeploymentConfig):
    """Deployment of a flow that reads a file."""

    files: list[Path] = Field(
        [],
        description="Files in the form, relative to this one, the default first; without any the flow is not "
        "served.",
    )


class RetrainSchedule(Schedule):
    """Schedule that starts retrainings."""

    when: When = Field(
        default_factory=When,
        description="Reasons to retrain, of which one is enough; a run without any ends after a look.",
    )


class RetrainDeploymentConfig(FileDeploymentConfig):
    """Deployment of retraining."""

    schedules: list[RetrainSchedule] = Field([], description="Schedules of the flow.")  # type: ignore[assignment]


class NotificationConfig(Section):
    """Receiver of a notification when a run fails, crashes or finds drift."""

    kind: Literal["slack", "teams", "webhook"] = Field(
        description="slack and teams take a message, webhook a POST of JSON."
    )
    url: str = Field(description="Address; ${NAME} is replaced by the environment variable.")


class Operations(Section):
    """Content of operations.yaml."""

    prefect_port: int = Field(4200, ge=0, le=65535, description="Port of Prefect's server on 127.0.0.1.")
    mlflow_port: int = Field(5000, ge=0, le=65535, description="Port of MLflow's server on 127.0.0.1.")
    runs: int = Field(
        2,
        ge=1,
        le=1_024,
        description="Most flow runs at a time on this machine, of all deployments together.",
    )
    gpu_slots: int = Field(
        1, ge=1, le=1_024, description="Most steps that use a GPU at a time, of all runs on one machine."
    )
    heartbeat: int = Field(30, ge=30, description="Seconds between two heartbeats of a run.")
    silence: int = Field(
        90, ge=30, description="Seconds without a heartbeat after which a run counts as crashed."
    )
    retrain: RetrainDeploymentConfig = Field(
        default_factory=RetrainDeploymentConfig, description="Retraining; its files are pipelines."
    )
    sweep: FileDeploymentConfig = Field(
        default_factory=FileDeploymentConfig, description="Comparison of fusions; its files are sweep files."
    )
    distill: FileDeploymentConfig = Field(
        default_factory=FileDeploymentConfig,
        description="Distillation of students; its files are distill files.",
    )
    score: DeploymentConfig = Field(default_factory=DeploymentConfig, description="Scoring of tables.")
    monitor: DeploymentConfig = Field(default_factory=DeploymentConfig, description="Monitoring of drift.")
    retrain_on_drift: bool = Field(
        True, description="Start `retrain` on the model's pipeline file if `monitor` finds drift."
    )
    notification: NotificationConfig | None = Field(
        None, description="Receiver of notifications; null sends none."
    )


def load_operations(path: Path) -> Operations:
    """Read operations.yaml; the paths in it become absolute. A pipeline file stands for its retraining.

    Raises:
        ConfigError: If the file cannot be read, an option is not valid, or a file in it does not exist.
    """
    values = read_mapping(
        path, "retrain: {files: [...]}, ...", "A shipped example is configs/operations.yaml."
    )
    if is_pipeline(values):
        values = {"retrain": {"files": [path.name]}}
    try:
        operations = Operations.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, Operations, str(path))) from error
    sections = {}
    for name in ("retrain", "sweep", "distill"):
        section: FileDeploymentConfig = getattr(operations, name)
        files = [(path.parent / file).resolve() for file in section.files]
        for name_in_file, file in zip(section.files, files, strict=True):
            if not file.is_file():
                raise ConfigError(f"{path}: {name}.files: {name_in_file} is not a file (looked for {file})")
        sections[name] = section.model_copy(update={"files": files})
    return operations.model_copy(update=sections)
