"""Beginning and end of every flow run: its folder, its MLflow run, its tags."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import yaml
from prefect.exceptions import CancelledRun, TerminationSignal
from prefect.runtime import flow_run

from components.config import PipelineConfig, TrackingConfig, load_tracking
from components.errors import ServiceError
from components.storage.digest import digest_json
from flows.process_settings import configure_process
from flows.run.clock import began
from flows.run.folder import claim
from flows.servers.local import has_pages
from flows.workers.pool import start_workers, stop_workers
from tasks import artifacts
from tasks.context import Context
from tasks.progress import seconds_by_input
from tasks.report import git_commit
from tasks.tracking import runs
from tasks.tracking.service import service_errors


@contextmanager
def open_run(
    config: Path,
    pipeline: PipelineConfig,
    workspace: Path,
    tracking_file: Path,
    kind: str = "retrain",
    facts: Mapping[str, Any] | None = None,
) -> Iterator[Context]:
    """Open the run's folder and MLflow run, or reopen earlier ones; end both however the block ends.

    Args:
        config: Pipeline file.
        pipeline: Contents of that file.
        workspace: Folder with caches and runs.
        tracking_file: mlflow.yaml.
        kind: Name of the flow, a tag of the MLflow run.
        facts: Facts besides the pipeline that identify a run of this kind; logged as parameters.
    """
    with begin_run(
        config,
        pipeline.name,
        pipeline.model_dump(mode="json"),
        workspace,
        tracking_file,
        kind,
        facts,
        more_tags={"config_file": str(config.resolve())},
    ) as (key, at, mlflow_run):
        settings = yaml.safe_dump(pipeline.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        runs.log_text(at, mlflow_run, settings, runs.CONFIG)
        start = began(workspace / "runs" / key)
        yield Context(key, pipeline, config.resolve().parent, workspace, at, mlflow_run, began=start)


@contextmanager
def begin_run(
    config: Path,
    name: str,
    settings: Mapping[str, Any],
    workspace: Path,
    tracking_file: Path,
    kind: str,
    facts: Mapping[str, Any] | None = None,
    key: str | None = None,
    more_tags: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, TrackingConfig, str]]:
    """Begin a run that is not of one pipeline; yield its key, MLflow's settings and its MLflow id.

    Args:
        config: The file that the run was started with.
        name: Beginning of the key.
        settings: Contents of the file; logged as parameters.
        key: Key of the run, where the work has one of its own: it is then always the same run.
        more_tags: Tags of the MLflow run, besides those of every run.

    Other arguments are those of :func:`open_run`.
    """
    configure_process()  # a flow run that a worker of Prefect starts has no main() of braid
    at = load_tracking(tracking_file, workspace)
    facts = dict(facts or {})
    base = config.resolve().parent
    purpose = digest_json({"kind": kind, "config": dict(settings), "base": str(base), "facts": facts})
    workspace.mkdir(parents=True, exist_ok=True)
    with claim(workspace, name, purpose, str(flow_run.id), key) as record, service_errors():
        start_workers(seconds_by_input(workspace / "runs", name))
        tags = {"config": name, "prefect_flow_run": str(flow_run.id), "kind": kind, **(more_tags or {})}
        tags |= {"prefect_flow_run_url": flow_run.ui_url} if flow_run.ui_url and has_pages() else {}
        tags |= {"git_commit": commit} if (commit := git_commit()) else {}
        mlflow_run = runs.start_run(at, record.key, record.key, tags)
        runs.log_params(at, mlflow_run, {**settings, **facts})
        artifacts.show_run(at, mlflow_run)
        monitor = runs.watch_system(at, mlflow_run)
        status: Literal["FINISHED", "FAILED", "KILLED"] | None = "FAILED"
        try:
            with service_errors():
                yield record.key, at, mlflow_run
            status = "FINISHED"
        except ServiceError:
            status = None  # the run is resumed later, and MLflow may be what is gone
            raise
        except (KeyboardInterrupt, SystemExit, CancelledRun, TerminationSignal):
            status = "KILLED"
            stop_workers()
            raise
        finally:
            if monitor is not None:
                monitor.finish()
            if status is not None:
                runs.end_run(at, mlflow_run, status)
