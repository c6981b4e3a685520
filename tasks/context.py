"""What the tasks of a run are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.config import PipelineConfig, TrackingConfig


@dataclass(frozen=True)
class Context:
    """One run: its configuration and its places.

    Attributes:
        key: Name of the run's folder; stays the same when the run is retried or resumed.
        config: The pipeline.
        base: Folder of the pipeline file, where a relative source is looked up.
        workspace: Folder with caches, runs and, by default, MLflow's database.
        tracking: Where MLflow is.
        mlflow_run: Id of the parent run.
        place: Folder below the run's own for the delivered model, where a run delivers several.
    """

    key: str
    config: PipelineConfig
    base: Path
    workspace: Path
    tracking: TrackingConfig
    mlflow_run: str
    place: str = ""

    @property
    def folder(self) -> Path:
        """What belongs to this run alone."""
        return self.workspace / "runs" / self.key

    @property
    def cache(self) -> Path:
        """What is keyed by content and shared by all runs."""
        return self.workspace / "cache"

    @property
    def bundle(self) -> Path:
        """The delivered model."""
        return self.folder / self.place / "bundle"


@dataclass(frozen=True)
class Run:
    """One run of a flow that is not of a pipeline: of scoring or monitoring with a model that is there.

    Attributes:
        key: Name of the run's folder.
        workspace: Folder with all runs.
        tracking: Where MLflow is.
        mlflow_run: Id of the run.
    """

    key: str
    workspace: Path
    tracking: TrackingConfig
    mlflow_run: str

    @property
    def folder(self) -> Path:
        """What belongs to this run alone."""
        return self.workspace / "runs" / self.key
