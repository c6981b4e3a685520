"""Records of a run in MLflow that it is repeated from and compared by."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from mlflow.entities import Run

from components.config import PipelineConfig, TrackingConfig
from components.config.load import configured
from components.errors import ModelError
from components.reproduction.differences import Account, is_compared
from tasks.tracking import runs

_KINDS = ("retrain", "reproduce")


@dataclass(frozen=True)
class Carried:
    """A finished retraining, as MLflow has it.

    Attributes:
        run: Id of the run.
        name: Name of the run.
        file: Pipeline file of the run, from whose folder a relative source starts.
        settings: Settings of that file and the overrides.
        account: Data, model, environment and metrics of the run.
    """

    run: str
    name: str
    file: Path
    settings: Mapping[str, Any]
    account: Account

    @property
    def threads(self) -> int:
        """Threads per process."""
        return int(self.account.environment["threads"])

    def pipeline(self, overrides: list[str]) -> PipelineConfig:
        """Configure its pipeline with changes."""
        return configured(self.settings, overrides, f"{runs.CONFIG} of run {self.name}")


def carried(at: TrackingConfig, name: str) -> Carried:
    """Find a run by id, key, name or ``last``.

    Raises:
        ModelError: If there is none, or if it lacks records to be repeated from.
    """
    run = runs.find_run(at, name)
    if run is None:
        raise ModelError(f"there is no run {name!r} in {at.tracking_uri}; `braid ui` lists the runs")
    tags = run.data.tags
    if tags.get("kind") not in _KINDS:
        raise ModelError(
            f"run {name!r} is of kind {tags.get('kind')!r}, and only those of `braid run` are repeated"
        )
    if run.info.status != "FINISHED":
        raise ModelError(
            f"run {name!r} is {run.info.status.lower()}: only a finished run has something to compare with"
        )
    files = {file.path for file in runs.connect(at).list_artifacts(run.info.run_id)}
    lacking = [path for path in (runs.CONFIG, runs.ENVIRONMENT) if path not in files]
    lacking += [f"the tag {tag}" for tag in (runs.DATA_TAG, runs.MODEL_TAG) if tag not in tags]
    if lacking:
        raise ModelError(
            f"run {name!r} cannot be repeated: it lacks {', '.join(lacking)}. An earlier braid made it, or "
            "somebody deleted them; run the pipeline once more and repeat that run"
        )
    settings = yaml.safe_load(_text(at, run, runs.CONFIG))
    return Carried(
        run=run.info.run_id,
        name=str(run.info.run_name),
        file=Path(tags["config_file"]),
        settings=settings,
        account=Account(
            settings=runs.flatten(settings),
            data=tags[runs.DATA_TAG],
            model=tags[runs.MODEL_TAG],
            environment={
                **runs.flatten(json.loads(_text(at, run, runs.ENVIRONMENT))),
                **({"git_commit": tags["git_commit"]} if "git_commit" in tags else {}),
            },
            metrics=_metrics(at, run),
        ),
    )


def _metrics(at: TrackingConfig, run: Run) -> dict[str, float]:
    """Collect the run's own metrics, and those of its parts at every step."""
    client = runs.connect(at)
    metrics = {name: value for name, value in run.data.metrics.items() if is_compared(name)}
    for part in runs.parts(at, run):
        for name in filter(is_compared, sorted(part.data.metrics)):
            for metric in client.get_metric_history(part.info.run_id, name):
                metrics[f"{part.data.tags[runs.PART]}: {name} at {metric.step}"] = metric.value
    return metrics


def _text(at: TrackingConfig, run: Run, path: str) -> str:
    with TemporaryDirectory() as folder:
        return runs.download(at, run.info.run_id, path, Path(folder)).read_text("utf-8")
