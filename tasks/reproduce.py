"""What a run carries in MLflow to be repeated from, and to be compared by."""

from __future__ import annotations

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
        run: Id.
        name: Of the run.
        file: The pipeline file that it was started with; a relative source is looked up beside it.
        settings: What that file and the overrides said.
        account: What it was made from and what it came to.
    """

    run: str
    name: str
    file: Path
    settings: Mapping[str, Any]
    account: Account

    @property
    def threads(self) -> int:
        """Of one of its processes."""
        return int(self.account.environment["threads"])

    def pipeline(self, overrides: list[str]) -> PipelineConfig:
        """Its pipeline, with changes if there are any."""
        return configured(self.settings, overrides, f"{runs.CONFIG} of run {self.name}")


def carried(at: TrackingConfig, name: str) -> Carried:
    """Find a run by id, key, name or ``last``.

    Raises:
        ModelError: If there is none, or it carries too little to be repeated.
    """
    run = runs.find_run(at, name)
    if run is None:
        raise ModelError(f"there is no run {name!r} in {at.tracking_uri}; `braid ui` shows those there are")
    tags = run.data.tags
    if tags.get("kind") not in _KINDS:
        raise ModelError(
            f"run {name!r} is of kind {tags.get('kind')!r}, and only those of `braid run` are repeated"
        )
    if run.info.status != "FINISHED":
        raise ModelError(
            f"run {name!r} is {run.info.status.lower()}: only a finished run has something to compare with"
        )
    there = {file.path for file in runs.connect(at).list_artifacts(run.info.run_id)}
    lacking = [path for path in (runs.CONFIG, runs.ENVIRONMENT) if path not in there]
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
    """The run's own metrics, and those of its parts at every step."""
    client = runs.connect(at)
    found = {name: value for name, value in run.data.metrics.items() if is_compared(name)}
    for part in runs.parts(at, run):
        for name in filter(is_compared, sorted(part.data.metrics)):
            for metric in client.get_metric_history(part.info.run_id, name):
                found[f"{part.data.tags[runs.PART]}: {name} at {metric.step}"] = metric.value
    return found


def _text(at: TrackingConfig, run: Run, path: str) -> str:
    with TemporaryDirectory() as folder:
        return runs.download(at, run.info.run_id, path, Path(folder)).read_text("utf-8")
