"""Flow ``monitor``: new data against the rows that a registered model was evaluated on."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from components.config import load_tracking
from components.config.monitor import MonitorConfig
from components.monitoring.results import Drift
from components.scoring.job import Model
from flows.run.lifecycle import begin_run
from flows.workers.pool import table_run_name
from tasks.context import Run
from tasks.monitor import announce_task, compare_task, find_task


@dataclass(frozen=True)
class Monitored:
    """Result of a finished comparison.

    Attributes:
        key: Key of the run.
        mlflow_run: Id of the MLflow run.
        model: The model with the reference rows.
        drift: Result of the comparison.
    """

    key: str
    mlflow_run: str
    model: Model
    drift: Drift


def monitor_name() -> str:
    """Name a run in the dashboard: ``shoes against sorter 2026-11-23 22:30``."""
    return table_run_name("against")


@flow(name="monitor", flow_run_name=monitor_name)
def monitor(
    config: MonitorConfig, workspace: Path = Path(".braid"), tracking_file: Path = Path("mlflow.yaml")
) -> Monitored:
    """Compare a table with the rows that a model carries; emit the event ``braid.drift`` on drift.

    Args:
        config: The table, the model, and the tests for drift.
        workspace: Folder with fetched models and runs, and MLflow's database by default.
        tracking_file: mlflow.yaml.
    """
    workspace = workspace.resolve()
    model = find_task(config, load_tracking(tracking_file, workspace), workspace)
    settings = config.model_dump(mode="json")
    facts = {"model_name": model.name, "model_version": model.version, "model_run": model.run}
    name = f"monitor-{model.name}"
    with begin_run(Path(config.manifest), name, settings, workspace, tracking_file, "monitor", facts) as (
        key,
        at,
        mlflow_run,
    ):
        run = Run(key, workspace, at, mlflow_run)
        drift = compare_task(run, config, model)
        if drift.drifted:
            announce_task(run, config, model, drift)
    return Monitored(key, mlflow_run, model, drift)
