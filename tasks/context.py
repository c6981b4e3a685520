"""Context that the tasks of a run are given."""

from dataclasses import dataclass
from pathlib import Path

from components.config import PipelineConfig, TrackingConfig
from components.runtime.deadline import Allowance


@dataclass(frozen=True)
class Context:
    """One run of a pipeline, with its configuration and folders.

    Attributes:
        key: Name of the run's folder; stays the same when the run is retried or resumed.
        config: Configuration of the pipeline.
        base: Folder of the pipeline file, which a relative source starts from.
        workspace: Folder with caches, runs and, by default, MLflow's database.
        tracking: Address of MLflow.
        mlflow_run: Id of the parent run.
        subfolder: Folder in the run's own for the delivered model, where a run delivers several.
        began: Unix time at which the run began, if it had never been interrupted.
        allowance: Time of each step; None for as long as it takes.
    """

    key: str
    config: PipelineConfig
    base: Path
    workspace: Path
    tracking: TrackingConfig
    mlflow_run: str
    subfolder: str = ""
    began: float = 0.0
    allowance: Allowance | None = None

    @property
    def folder(self) -> Path:
        """Folder of this run alone."""
        return self.workspace / "runs" / self.key

    @property
    def cache(self) -> Path:
        """Folder of content-keyed results, shared by all runs."""
        return self.workspace / "cache"

    @property
    def bundle(self) -> Path:
        """Folder of the delivered model."""
        return self.folder / self.subfolder / "bundle"


@dataclass(frozen=True)
class Run:
    """One run of scoring or monitoring, with an existing model instead of a pipeline.

    Attributes:
        key: Name of the run's folder.
        workspace: Folder with all runs.
        tracking: Address of MLflow.
        mlflow_run: Id of the run.
    """

    key: str
    workspace: Path
    tracking: TrackingConfig
    mlflow_run: str

    @property
    def folder(self) -> Path:
        """Folder of this run alone."""
        return self.workspace / "runs" / self.key


def data_folder(workspace: Path, config: PipelineConfig) -> Path:
    """Return the work folder for a pipeline's data: index of media files, embedded media, generated data."""
    return workspace / "data" / config.name
