"""Flow ``score``: predictions of a registered model for a table without targets."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from components.config import load_tracking
from components.config.score import ScoreConfig
from components.scoring.job import Job
from components.scoring.summary import Summary, finished
from flows.run.lifecycle import begin_run
from flows.workers.pool import table_run_name
from tasks.context import Run
from tasks.score import open_task, score_task, write_task
from tasks.tracking import runs


@dataclass(frozen=True)
class Scored:
    """Result of a finished job.

    Attributes:
        job: The job with its paths.
        summary: Its totals.
        repeated: True if all rows had been scored before.
        written: Rows written to the database now; None without one.
    """

    job: Job
    summary: Summary
    repeated: bool
    written: int | None


def score_name() -> str:
    """Name a run in the dashboard: ``shoes by sorter 2026-11-23 22:30``."""
    return table_run_name("by")


@flow(name="score", flow_run_name=score_name)
def score(
    config: ScoreConfig, workspace: Path = Path(".braid"), tracking_file: Path = Path("mlflow.yaml")
) -> Scored:
    """Score a table, one chunk at a time. Resumes a killed job; a finished one stays as it is.

    Args:
        config: The table, the model, and the folder of the predictions.
        workspace: Folder with fetched models and runs, and MLflow's database by default.
        tracking_file: mlflow.yaml.
    """
    workspace = workspace.resolve()
    at = load_tracking(tracking_file, workspace)
    job = open_task(config, at, workspace)
    before = finished(job)
    if before is not None and not runs.has_ended_well(at, before.run):
        before = None  # scored, but cut off before all of it was logged
    summary = before or _score(job, workspace, tracking_file)
    written = write_task(at, job, summary) if config.sql is not None else None
    return Scored(job, summary, before is not None, written)


def _score(job: Job, workspace: Path, tracking_file: Path) -> Summary:
    settings = job.config.model_dump(mode="json", exclude={"sql"})
    facts = {"model_name": job.model.name, "model_version": job.model.version, "model_run": job.model.run}
    paths = (workspace, tracking_file)
    with begin_run(Path(job.folder), job.key, settings, *paths, "score", facts, job.key) as (key, at, run):
        return score_task(Run(key, workspace, at, run), job)
