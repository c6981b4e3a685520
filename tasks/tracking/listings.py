"""Lists of the runs and of the registered models that MLflow knows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from components.config import TrackingConfig
from components.results.table import Table, text
from tasks.tracking import runs
from tasks.tracking.registry import CHAMPION

_MOST = 1000
_MARKS = re.compile(r"[*`\\]")


@dataclass(frozen=True)
class Score:
    """Test result of a delivered model, with its interval.

    Attributes:
        metric: Name of the metric.
        value: Its value; None where it is not defined.
        low, high: Bounds; None where there are none.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.metric} not defined"
        bounds = "" if self.low is None or self.high is None else f" {self.low:.3f}…{self.high:.3f}"
        return f"{self.metric} {self.value:.3f}{bounds}"


@dataclass(frozen=True)
class ListedRun:
    """One run.

    Attributes:
        run: Its key, which every command takes.
        kind: ``retrain``, ``sweep``, ``distill``, ``score`` or ``monitor``.
        status: State in MLflow, in small letters.
        score: Test result of the delivered model; None where a run has none.
        headline: Result in one line; empty where there is none yet.
        model: ``name/version`` that it has registered; None without one.
        champion: ``yes``, ``former`` or ``no``.
        started: Time of its start, ISO 8601 in UTC.
        seconds: Time that it took; None while it runs.
        model_bytes: Size of the packaged model; None without one.
        mlflow_run: Id in MLflow.
    """

    run: str
    kind: str
    status: str
    score: Score | None
    headline: str
    model: str | None
    champion: str
    started: str
    seconds: float | None
    model_bytes: int | None
    mlflow_run: str


@dataclass(frozen=True)
class ListedModel:
    """One registered model, by its champion; by its newest version where it has none.

    Attributes:
        name: Name in the registry.
        version: Number of the version; None where all are deleted.
        alias: ``champion``; None where the version is only the newest.
        score: Test result of that version; None where it is not recorded.
        versions: Number of versions.
        created: Time at which the version was registered, ISO 8601 in UTC.
        model_bytes: Size of the packaged model; None where it is not recorded.
        run: Key of the run that made the version.
    """

    name: str
    version: str | None
    alias: str | None
    score: Score | None
    versions: int
    created: str | None
    model_bytes: int | None
    run: str


@dataclass(frozen=True)
class Runs:
    """The newest runs of a tracker, the newest first."""

    runs: tuple[ListedRun, ...]
    none: ClassVar[str] = "There are no runs yet: `braid run FILE` makes one."

    @property
    def table(self) -> Table:
        """One row per run."""
        return Table.of(
            "Runs, the newest first.",
            self.runs,
            (text("run"), lambda run: run.run),
            (text("kind"), lambda run: run.kind),
            (text("state"), lambda run: run.status),
            (text("result"), lambda run: str(run.score) if run.score else run.headline),
            (text("champion"), lambda run: {"no": ""}.get(run.champion, run.champion)),
            (text("age"), lambda run: age(run.started)),
            (text("model"), lambda run: size(run.model_bytes)),
            marked=lambda run: run.champion == "yes",
        )


@dataclass(frozen=True)
class Models:
    """The registered models of a registry, by name."""

    models: tuple[ListedModel, ...]
    none: ClassVar[str] = "There are no models yet: `braid run FILE` registers one."

    @property
    def table(self) -> Table:
        """One row per registered model."""
        return Table.of(
            "Registered models.",
            self.models,
            (text("model"), lambda model: model.name),
            (text("version"), lambda model: f"{model.version or '–'} of {model.versions}"),
            (text("alias"), lambda model: model.alias),
            (text("test result"), lambda model: str(model.score) if model.score else ""),
            (text("age"), lambda model: age(model.created)),
            (text("size"), lambda model: size(model.model_bytes)),
            marked=lambda model: model.alias is not None,
        )


def list_runs(at: TrackingConfig, most: int) -> Runs:
    """List the newest runs; parts of runs, such as fits and trials, are not listed.

    Args:
        at: Settings of MLflow.
        most: Largest number of runs in the list.
    """
    client = runs.connect(at)
    experiment = client.get_experiment_by_name(at.experiment)
    if experiment is None:
        return Runs(())
    newest_first = ["attributes.start_time DESC"]
    parents = f"tags.`{runs.PART}` = 'run'"
    entities = client.search_runs(
        [experiment.experiment_id], parents, max_results=most, order_by=newest_first
    )
    return Runs(tuple(map(_listed, entities)))


def list_models(at: TrackingConfig) -> Models:
    """List the registered models with their champions."""
    client = runs.connect(at)
    listed = []
    for registered in client.search_registered_models(max_results=_MOST):
        versions = client.search_model_versions(f"name = '{registered.name}'", max_results=_MOST)
        aliases = {alias: str(number) for alias, number in (registered.aliases or {}).items()}
        newest = max(versions, key=lambda each: int(each.version), default=None)
        champion = next((each for each in versions if str(each.version) == aliases.get(CHAMPION)), None)
        listed.append(_model(registered.name, champion or newest, champion is not None, len(versions)))
    return Models(tuple(sorted(listed, key=lambda model: model.name)))


def age(when: str | None, now: datetime | None = None) -> str:
    """Say in one unit how long ago a time was; empty for an unknown time."""
    if when is None:
        return ""
    passed = ((now or datetime.now(UTC)) - datetime.fromisoformat(when)).total_seconds()
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60)):
        if passed >= seconds:
            return f"{passed // seconds:.0f} {unit}"
    return f"{max(passed, 0):.0f} s"


def size(count: int | None) -> str:
    """Write a number of bytes in one unit; empty for an unknown number."""
    if count is None:
        return ""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= least:
            return f"{count / least:.3g} {unit}"
    return f"{count} B"


def _listed(run: Run) -> ListedRun:
    tags, metrics, info = run.data.tags, run.data.metrics, run.info
    score = None
    if runs.METRIC_TAG in tags:
        name = f"test_{tags[runs.METRIC_TAG]}"
        score = Score(tags[runs.METRIC_TAG], *(metrics.get(f"{name}{end}") for end in ("", "_low", "_high")))
    headline = _MARKS.sub("", tags.get(runs.NOTE, "").partition("\n")[0])
    return ListedRun(
        run=tags.get(runs.KEY, info.run_name),
        kind=tags.get("kind", ""),
        status=info.status.lower(),
        score=score,
        headline=headline,
        model=tags.get(runs.VERSION_TAG),
        champion=tags.get(runs.CHAMPION_TAG, "no"),
        started=_time(info.start_time),
        seconds=None if info.end_time is None else (info.end_time - info.start_time) / 1000,
        model_bytes=_whole(tags),
        mlflow_run=info.run_id,
    )


def _model(name: str, version: ModelVersion | None, is_champion: bool, count: int) -> ListedModel:
    if version is None:
        return ListedModel(name, None, None, None, count, None, None, "")
    tags = version.tags
    score = None
    if runs.METRIC_TAG in tags:
        metric = tags[runs.METRIC_TAG]
        values = (tags.get(key) for key in (metric, f"test_{metric}_low", f"test_{metric}_high"))
        score = Score(metric, *(None if value is None else float(value) for value in values))
    return ListedModel(
        name=name,
        version=str(version.version),
        alias=CHAMPION if is_champion else None,
        score=score,
        versions=count,
        created=_time(version.creation_timestamp),
        model_bytes=_whole(tags),
        run=tags.get("run", ""),
    )


def _whole(tags: Mapping[str, str]) -> int | None:
    return int(tags[runs.SIZE_TAG]) if runs.SIZE_TAG in tags else None


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
