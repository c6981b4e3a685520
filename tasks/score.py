"""Tasks: find what is to be scored, score it, write it to a database."""

from pathlib import Path

import pyarrow.parquet as pq
from prefect import get_run_logger

from components.config import TrackingConfig
from components.config.score import ScoreConfig
from components.data.quarantine import SCHEMA
from components.inference.predictor import Predictor
from components.scoring.chunks import schema, score
from components.scoring.job import Job, Model, plan
from components.scoring.sql import Sink
from components.scoring.summary import Summary
from tasks.artifacts import SHOWN, log_result, show_quarantine
from tasks.context import Run
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracking import registry, runs


@step(name="open job", task_run_name="find {config.model}", tags=["data"])
def open_task(config: ScoreConfig, at: TrackingConfig, workspace: Path) -> Job:
    """The model's bundle, fetched if need be, and the job that was asked for, new or begun earlier."""
    uri = registry.find_model(at, config.model)
    version = registry.source(at, uri)
    bundle = registry.cached_bundle(at, uri, workspace / "models")
    job = plan(config, Model(version.name, version.version or None, version.run, str(bundle)))
    if config.sql is not None:  # before hours of scoring
        sink_of(config).check(schema(Predictor(bundle, "cpu"), config.explain))
    return job


@step(name="score rows", task_run_name="score {job.key}", tags=["features"])
def score_task(run: Run, job: Job) -> Summary:
    """Score the rows that are not scored yet; counts and rates to MLflow and the dashboard."""
    progress = Progress(run, "score")
    at, id = run.tracking, run.mlflow_run
    runs.set_tags(at, id, _tags(job))
    predictor = Predictor(Path(job.model.bundle))
    with gpu_slot(run):
        summary = score(job, predictor, id, progress)
    progress.finish(
        f"{summary.scored} of {summary.rows} rows scored, {summary.not_scored} in quarantine alone"
    )
    if summary.absent:
        get_run_logger().warning("%s lacks the columns %s", job.config.manifest, ", ".join(summary.absent))
    targets = [target.name for target in predictor.bundle.delivered.targets]
    runs.log_names(at, id, [*targets, *schema(predictor, job.config.explain).names])
    log_result(run, summary, job.quarantine)
    faults = next(pq.ParquetFile(job.quarantine).iter_batches(SHOWN), SCHEMA.empty_table())
    shown = f"{summary.faulty} rows with faults; the first entries are shown, all are in {job.quarantine}"
    show_quarantine(faults.to_pandas(), shown)
    return summary


@step(name="write to database", task_run_name="write to {job.config.table}", tags=["data"])
def write_task(at: TrackingConfig, job: Job, summary: Summary) -> int:
    """Predictions to the database, those that are there left as they are; gives rows written now."""
    sink = sink_of(job.config)
    written = sink.write(job.parts)
    runs.set_tags(at, summary.run, {"sql": f"{sink.shown} {sink.table}"})
    get_run_logger().info("%s rows written to %s, table %s", written, sink.shown, sink.table)
    return written


def sink_of(config: ScoreConfig) -> Sink:
    """The database that the predictions go to."""
    assert config.sql is not None
    return Sink(config.sql.get_secret_value(), config.table)


def _tags(job: Job) -> dict[str, str]:
    model = job.model
    uri = f"models:/{model.name}/{model.version}" if model.version else f"runs:/{model.run}/model"
    return {"model": uri, "model_run": model.run, "predictions": str(job.predictions)}
