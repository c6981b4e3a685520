"""Flow ``retrain``: from a manifest to a registered, evaluated model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prefect import flow
from prefect.exceptions import CancelledRun, TerminationSignal
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.settings import get_current_settings
from prefect.task_runners import ProcessPoolTaskRunner

from components.config import PipelineConfig, load_pipeline, load_tracking
from components.data.ingest import Dataset
from components.encoders import needs_fit
from components.evaluation.results import Evaluation
from components.references import Features, FusedModel, Prepared
from components.storage.digest import digest_json
from components.training.loop import BEST
from flows.runs import claim
from tasks import tracking
from tasks.context import Context
from tasks.evaluate import evaluate_task
from tasks.extract import extract_task
from tasks.fit import fit_task, probe_task
from tasks.fuse import fuse_task, joint_task
from tasks.ingest import ingest_task
from tasks.preprocess import preprocess_task
from tasks.promote import Registered, promote_task
from tasks.report import git_commit, report_task
from tasks.step import start_worker

WORKERS = get_current_settings().tasks.runner.process_pool_max_workers or 2  # inputs worked on side by side
Futures = dict[str, PrefectFuture[Prepared]]


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves.

    Attributes:
        key: Of the run.
        mlflow_run: Id of the parent run.
        evaluation: The evaluation of the target that decides.
        further: Those of the other targets.
        registered: Version and champion.
        report: Path of the HTML page.
        extracted: Rows extracted now, by input.
    """

    key: str
    mlflow_run: str
    evaluation: Evaluation
    further: tuple[Evaluation, ...]
    registered: Registered
    report: Path
    extracted: dict[str, int]


def run_name() -> str:
    """``avdigits 2026-11-23 22:30`` in the dashboard."""
    started = flow_run.scheduled_start_time
    config = Path(str(flow_run.parameters["config"])).stem
    return f"{config} {started:%Y-%m-%d %H:%M}"


@flow(
    name="retrain",
    flow_run_name=run_name,
    task_runner=ProcessPoolTaskRunner(  # type: ignore[arg-type]  # futures are invariant in prefect's types
        max_workers=WORKERS, initializer=start_worker, initargs=(WORKERS,)
    ),
)
def retrain(
    config: Path,
    overrides: list[str] | None = None,
    workspace: Path = Path(".braid"),
    tracking_file: Path = Path("mlflow.yaml"),
) -> Outcome:
    """Retrain a multimodal model and decide whether it replaces the champion.

    Args:
        config: Pipeline file.
        overrides: Options that differ from the file, each ``section.option=value``.
        workspace: Folder with caches and runs, and MLflow's database by default.
        tracking_file: mlflow.yaml.
    """
    pipeline = load_pipeline(config, overrides or [])
    with opened(config, pipeline, workspace.resolve(), tracking_file) as run:
        dataset = ingest_task.submit(run).result()
        names = list(pipeline.inputs)
        prepared = {name: preprocess_task.submit(run, dataset, name) for name in names}
        fitted = {name: fit_task.submit(run, dataset, prepared[name], name) for name in names}
        features = {
            name: extract_task.submit(run, dataset, prepared[name], fitted[name], name) for name in names
        }
        singles = {
            name: fitted[name]
            if needs_fit(pipeline.inputs[name].encoder)
            else probe_task.submit(run, dataset, features[name], name)
            for name in names
        }
        fused: FusedModel | PrefectFuture[FusedModel] | None = None
        if len(names) > 1:
            start = (
                fuse_task.submit(run, dataset, features, singles) if pipeline.strategy == "staged" else None
            )
            fused = start
            if pipeline.strategy == "joint" or pipeline.joint_epochs:
                fused = _joint(run, dataset, prepared, start)
        evaluated = evaluate_task.submit(run, dataset, prepared, singles, features, fused)
        registered = promote_task.submit(run, dataset, evaluated)
        report = report_task.submit(run, dataset, evaluated, registered)
        evaluation, *further = evaluated.result().read_all()
        return Outcome(
            key=run.key,
            mlflow_run=run.mlflow_run,
            evaluation=evaluation,
            further=tuple(further),
            registered=registered.result(),
            report=Path(report.result()),
            extracted=_extracted({name: feature.result() for name, feature in features.items()}, fused),
        )


def _joint(
    run: Context, dataset: Dataset, prepared: Futures, start: PrefectFuture[FusedModel] | None
) -> FusedModel:
    """Train all together, then extract with the encoders that came of it."""
    trained, encoders = joint_task.submit(run, dataset, prepared, start).result()
    features = {
        name: extract_task.submit(run, dataset, prepared[name], weights, name, " joint")
        for name, weights in encoders.items()
    }
    return FusedModel(
        features={name: feature.result() for name, feature in features.items()},
        weights=str(Path(trained.folder) / BEST),
        prefix="fused.",
        training=trained,
        joint=True,
    )


def _extracted(
    features: dict[str, Features], fused: FusedModel | PrefectFuture[FusedModel] | None
) -> dict[str, int]:
    """Rows extracted in this run by input, for the joint encoders too where there are any."""
    rows = {name: feature.extracted for name, feature in features.items()}
    if isinstance(fused, FusedModel):
        rows |= {f"{name} (joint)": feature.extracted for name, feature in fused.features.items()}
    return rows


@contextmanager
def opened(config: Path, pipeline: PipelineConfig, workspace: Path, tracking_file: Path) -> Iterator[Context]:
    """The run's folder and MLflow run, found again where there are any, ended however the block ends."""
    at = load_tracking(tracking_file, workspace)
    purpose = digest_json({"config": pipeline.model_dump(mode="json"), "base": str(config.resolve().parent)})
    workspace.mkdir(parents=True, exist_ok=True)
    with claim(workspace, pipeline.name, purpose, str(flow_run.id)) as record:
        tags = {"config": pipeline.name, "prefect_flow_run": str(flow_run.id), "kind": "retrain"}
        tags |= {"prefect_flow_run_url": flow_run.ui_url} if flow_run.ui_url else {}
        tags |= {"git_commit": commit} if (commit := git_commit()) else {}
        mlflow_run = tracking.start_run(at, record.key, record.key, tags)
        tracking.log_params(at, mlflow_run, pipeline.model_dump(mode="json"))
        monitor = tracking.watch_system(at, mlflow_run)
        status: Literal["FINISHED", "FAILED", "KILLED"] = "FAILED"
        try:
            yield Context(record.key, pipeline, config.resolve().parent, workspace, at, mlflow_run)
            status = "FINISHED"
        except (KeyboardInterrupt, SystemExit, CancelledRun, TerminationSignal):
            status = "KILLED"
            raise
        finally:
            if monitor is not None:
                monitor.finish()
            tracking.end_run(at, mlflow_run, status)
