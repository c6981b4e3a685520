"""mlflow.yaml: destinations of runs, artifacts and registered models."""

import os
from pathlib import Path

from pydantic import Field, ValidationError

from components.config.section import Section
from components.config.validation import explain
from components.config.yaml_file import read_mapping
from components.errors import ConfigError
from components.runtime.services import running_services
from components.storage.sqlite_url import sqlite_url

VARIABLES = {
    "MLFLOW_TRACKING_URI": "tracking_uri",
    "MLFLOW_REGISTRY_URI": "registry_uri",
    "BRAID_MLFLOW_PAGE_URL": "page_url",
    "MLFLOW_EXPERIMENT_NAME": "experiment",
}
"""Options that environment variables override, by the variable's name."""


class TrackingConfig(Section):
    """Destinations of what MLflow stores; MLflow's own environment variables override the file."""

    tracking_uri: str | None = Field(
        None,
        description="MLflow server or database; null takes the server of `braid up` while it runs, else its "
        "SQLite file in the workspace folder.",
    )
    registry_uri: str | None = Field(None, description="Model registry; null takes the tracking URI.")
    page_url: str | None = Field(
        None,
        description="Address of MLflow's pages, for links; null takes the tracking URI. The variable "
        "BRAID_MLFLOW_PAGE_URL overrides it.",
    )
    experiment: str = Field("braid", description="Experiment of the runs.")
    artifact_location: str | None = Field(
        None,
        description="Location of the artifacts of a new experiment; null takes the workspace folder (or the "
        "server's own choice).",
    )
    tags: dict[str, str] = Field(default_factory=dict, description="Tags set on every run.")
    system_metrics: bool = Field(True, description="Record CPU, memory and GPU use.")


def load_tracking(path: Path | None, workspace: Path) -> TrackingConfig:
    """Read mlflow.yaml and fill in the defaults.

    Args:
        path: File to read; None, or a file that does not exist, gives all defaults.
        workspace: Folder that holds SQLite and artifacts by default.

    Returns:
        Settings in which ``tracking_uri`` is never None.

    Raises:
        ConfigError: If the file is not valid.
    """
    values = {}
    if path is not None and path.exists():
        values = read_mapping(path, "tracking_uri, experiment, ...", "Without the file the defaults apply.")
    try:
        config = TrackingConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, TrackingConfig, str(path))) from error

    environment = {option: os.environ.get(name) for name, option in VARIABLES.items()}
    config = config.model_copy(update={key: value for key, value in environment.items() if value})
    if config.tracking_uri is None:
        running = running_services(workspace)
        local = {"tracking_uri": running.mlflow if running else sqlite_url(workspace / "mlflow.db")}
        if config.artifact_location is None:
            local["artifact_location"] = (workspace / "mlartifacts").as_uri()
        config = config.model_copy(update=local)
    return config
