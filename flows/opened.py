"""The beginning and the end of every flow run: its folder, its MLflow run, its tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from prefect.exceptions import CancelledRun, TerminationSignal
from prefect.runtime import flow_run

from components.config import PipelineConfig, load_tracking
from components.storage.digest import digest_json
from flows.runs import claim
from tasks import tracking
from tasks.context import Context
from tasks.report import git_commit


@contextmanager
def opened(
    config: Path,
    pipeline: PipelineConfig,
    workspace: Path,
    tracking_file: Path,
    kind: str = "retrain",
    facts: Mapping[str, Any] | None = None,
) -> Iterator[Context]:
    """The run's folder and MLflow run, found again where there are any, ended however the block ends.

    Args:
        config: Pipeline file.
        pipeline: What it says.
        workspace: Folder with caches and runs.
        tracking_file: mlflow.yaml.
        kind: Name of the flow, a tag of the MLflow run.
        facts: What besides the pipeline tells this run from others of its kind; logged as parameters.
    """
    at = load_tracking(tracking_file, workspace)
    facts = dict(facts or {})
    base = config.resolve().parent
    purpose = digest_json(
        {"kind": kind, "config": pipeline.model_dump(mode="json"), "base": str(base), "facts": facts}
    )
    workspace.mkdir(parents=True, exist_ok=True)
    with claim(workspace, pipeline.name, purpose, str(flow_run.id)) as record:
        tags = {"config": pipeline.name, "prefect_flow_run": str(flow_run.id), "kind": kind}
        tags |= {"prefect_flow_run_url": flow_run.ui_url} if flow_run.ui_url else {}
        tags |= {"git_commit": commit} if (commit := git_commit()) else {}
        mlflow_run = tracking.start_run(at, record.key, record.key, tags)
        tracking.log_params(at, mlflow_run, {**pipeline.model_dump(mode="json"), **facts})
        monitor = tracking.watch_system(at, mlflow_run)
        status: Literal["FINISHED", "FAILED", "KILLED"] = "FAILED"
        try:
            yield Context(record.key, pipeline, base, workspace, at, mlflow_run)
            status = "FINISHED"
        except (KeyboardInterrupt, SystemExit, CancelledRun, TerminationSignal):
            status = "KILLED"
            raise
        finally:
            if monitor is not None:
                monitor.finish()
            tracking.end_run(at, mlflow_run, status)
