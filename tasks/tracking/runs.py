"""Calls to MLflow's tracking API.

A run is looked up by its key, or by its parent and part. So a retried or resumed step writes to the same run,
and skips what the run has already.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from components.config import TrackingConfig
from components.config.tracking import VARIABLES
from components.redaction import redacted, without_login, without_secrets
from components.references import LeftOut, Missing
from components.results import spreadsheet
from components.runtime.environ import keep_variables
from components.storage.names import outside_name, outside_names
from components.training.checkpoint import Epoch
from tasks.tracking.descriptions import of_experiment
from tasks.tracking.mlflow_internals import (
    EXPERIMENT_KIND,
    LOGGED_ARTIFACTS,
    TRAINING,
    TRAINING_PAGES,
    entity_of,
)
from tasks.tracking.service import check_answers, make_database
from tasks.tracking.views import VIEWS

KEY, PART = "braid.key", "braid.part"
NOTE = "mlflow.note.content"  # description of a run or an experiment, in Markdown
CHAMPION_TAG = "champion"
MISSING_TAG = "braid.missing"
FAILED_TAG = "braid.failed"  # those of the missing steps that failed: others were left out by choice
BASIS_TAG = "braid.basis"  # digests of what decides the result of a retraining
VERSION_TAG = "model_version"
DATA_TAG, MODEL_TAG = "dataset_digest", "model_digest"
METRIC_TAG, SIZE_TAG = "metric", "model_bytes"  # of the delivered model, for lists
CONFIG, ENVIRONMENT = "config.yaml", "environment.json"  # artifacts that a run is repeated from
NAMES = "names.json"  # artifact: names of columns and targets, by what metrics and tables call them
_OF_THE_RUN = ("config", "git_commit", DATA_TAG)  # tags that its parts have too
_LONGEST_PARAM = 6000  # characters that every MLflow backend takes


def connect(tracking: TrackingConfig) -> MlflowClient:
    """Connect to what mlflow.yaml names, MLflow's own functions included.

    Raises:
        ServiceError: If a server does not respond to the first request of this process.
    """
    check_answers(str(tracking.tracking_uri))
    for uri in {str(tracking.tracking_uri), str(tracking.registry_uri or tracking.tracking_uri)}:
        make_database(uri)
    # MLflow writes both addresses into the environment, where they would hold for every workspace.
    with keep_variables(VARIABLES):
        mlflow.set_tracking_uri(str(tracking.tracking_uri))
        mlflow.set_registry_uri(str(tracking.registry_uri or tracking.tracking_uri))
    return MlflowClient()


def start_run(tracking: TrackingConfig, name: str, key: str, tags: Mapping[str, str]) -> str:
    """Return the id of the parent run of ``key``: a new one, or the existing one, set to running again."""
    client = connect(tracking)
    experiment = _experiment(client, tracking)
    _describe(client, experiment)
    own = f"tags.`{KEY}` = '{key}' and tags.`{PART}` = 'run'"
    all_tags = without_secrets({**tracking.tags, **tags, KEY: key, PART: "run"})
    earlier = _only(client, experiment, own)
    if earlier is not None:
        client.update_run(earlier, "RUNNING")
        client.log_batch(earlier, tags=[RunTag(name, value) for name, value in all_tags.items()])
        return earlier
    made = client.create_run(experiment, tags=all_tags, run_name=name).info.run_id
    return _only(client, experiment, own) or made


def nested_run(tracking: TrackingConfig, parent: str, part: str, tags: Mapping[str, str]) -> str:
    """Return the id of the run of one part (a fit, the fusion), with the facts and data set of its parent."""
    client = connect(tracking)
    above = client.get_run(parent)
    earlier = _part(client, above, part)
    if earlier is not None:
        client.update_run(earlier, "RUNNING")
        return earlier
    all_tags = {
        **{name: above.data.tags[name] for name in _OF_THE_RUN if name in above.data.tags},
        **tracking.tags,
        **tags,
        MLFLOW_PARENT_RUN_ID: parent,
        KEY: above.data.tags[KEY],
        PART: part,
    }
    name = f"{part} · {above.info.run_name}"
    made = client.create_run(above.info.experiment_id, tags=all_tags, run_name=name).info.run_id
    run_id = _part(client, above, part) or made
    if above.inputs is not None and above.inputs.dataset_inputs:
        client.log_inputs(run_id, above.inputs.dataset_inputs)
    return str(run_id)


def parts(tracking: TrackingConfig, above: Run) -> list[Run]:
    """List the runs right below a run."""
    below = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{above.info.run_id}'"
    return list(connect(tracking).search_runs([above.info.experiment_id], below, max_results=1000))


def find_part(tracking: TrackingConfig, parent: str, part: str) -> str | None:
    """Return the id of the run of one part; None if there is none."""
    client = connect(tracking)
    return _part(client, client.get_run(parent), part)


def _part(client: MlflowClient, above: Run, part: str) -> str | None:
    own = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{above.info.run_id}' and tags.`{PART}` = '{part}'"
    return _only(client, above.info.experiment_id, own)


def _only(client: MlflowClient, experiment: str, own: str) -> str | None:
    """Return the id of the only run of a filter; None if there is none.

    Later ones are deleted: a server makes them when its response is lost and the client repeats the request.
    """
    oldest_first = ["attributes.start_time ASC"]
    twins = client.search_runs([experiment], own, max_results=10, order_by=oldest_first)
    for twin in twins[1:]:
        client.delete_run(twin.info.run_id)
    return twins[0].info.run_id if twins else None


def end_run(tracking: TrackingConfig, run_id: str, status: Literal["FINISHED", "FAILED", "KILLED"]) -> None:
    """Set the final state of a run; if it ends too early, also of running ones below it."""
    client = connect(tracking)
    if status != "FINISHED":
        experiment = client.get_run(run_id).info.experiment_id
        below = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}' and attributes.status = 'RUNNING'"
        for run in client.search_runs([experiment], below, max_results=1000):
            client.set_terminated(run.info.run_id, status)
    client.set_terminated(run_id, status)


def end_lost(tracking: TrackingConfig, is_at_work: Callable[[str], bool]) -> None:
    """Set running runs to KILLED, with those below them, where nobody works on them any more.

    Args:
        tracking: Address of MLflow.
        is_at_work: Tells from the key of a run whether a process may be working on it.
    """
    client = connect(tracking)
    experiment = client.get_experiment_by_name(tracking.experiment)
    if experiment is None:
        return
    running = f"attributes.status = 'RUNNING' and tags.`{PART}` = 'run'"
    for run in client.search_runs([experiment.experiment_id], running, max_results=1000):
        if not is_at_work(run.data.tags[KEY]):
            end_run(tracking, run.info.run_id, "KILLED")


def log_params(tracking: TrackingConfig, run_id: str, values: Mapping[str, Any]) -> None:
    """Log parameters that the run lacks; nested mappings are flattened by :func:`flatten`."""
    client = connect(tracking)
    known = client.get_run(run_id).data.params
    texts = {name: redacted(str(value)) for name, value in flatten(values).items() if name not in known}
    new = [Param(name, text[:_LONGEST_PARAM]) for name, text in texts.items()]
    for start in range(0, len(new), 100):
        client.log_batch(run_id, params=new[start : start + 100])


def log_epoch(tracking: TrackingConfig, run_id: str, epoch: Epoch, metric: str) -> None:
    """Log the metrics of one epoch as a step, unless the run has that step."""
    client = connect(tracking)
    steps = client.get_run(run_id).data.metrics
    if "epoch" in steps and steps["epoch"] >= epoch.epoch:
        return
    values = {
        "train_loss": epoch.train_loss,
        "val_loss": epoch.val_loss,
        f"val_{metric}": epoch.metric,
        "learning_rate": epoch.learning_rate,
        "epoch_seconds": epoch.seconds,
        **{f"alone_{name}_val_{metric}": value for name, value in epoch.alone.items()},
        **({"skipped_steps": float(epoch.skipped)} if epoch.skipped else {}),
        "epoch": float(epoch.epoch),  # last: once it is logged, so are the others
    }
    now = int(time.time() * 1000)
    client.log_batch(
        run_id, metrics=[Metric(name, value, now, epoch.epoch) for name, value in values.items()]
    )


def log_metrics(tracking: TrackingConfig, run_id: str, values: Mapping[str, float]) -> None:
    """Log final metrics, except those that the run has already and those that are not finite.

    Whoever makes a name of a column or class passes that through :func:`outside_name`.
    """
    client = connect(tracking)
    values = {name: value for name, value in values.items() if math.isfinite(value)}
    known = client.get_run(run_id).data.metrics
    now = int(time.time() * 1000)
    new = [Metric(name, float(value), now, 0) for name, value in values.items() if name not in known]
    for start in range(0, len(new), 500):
        client.log_batch(run_id, metrics=new[start : start + 500])


def log_final(tracking: TrackingConfig, run_id: str, values: Mapping[str, float], step: int) -> None:
    """Log final metrics of a run whose epochs may have logged the same names, behind the last epoch.

    MLflow shows and compares the newest value, so it shows these. Values that the run has already and values
    that are not finite are skipped.
    """
    client = connect(tracking)
    values = {name: value for name, value in values.items() if math.isfinite(value)}
    now = int(time.time() * 1000)
    new = [
        Metric(name, float(value), now, step)
        for name, value in values.items()
        if not any(known.step == step for known in client.get_metric_history(run_id, name))
    ]
    client.log_batch(run_id, metrics=new)


def set_tags(tracking: TrackingConfig, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags; they replace old ones of the same names."""
    hidden = [RunTag(name, redacted(str(value))) for name, value in tags.items()]
    connect(tracking).log_batch(run_id, tags=hidden)


def tag_missing(tracking: TrackingConfig, run_id: str, missing: Sequence[Missing]) -> None:
    """Tag a run with the steps that failed or were left out, and with those that failed.

    A tag is removed if a resumed run has made up for them.
    """
    failed = [each.step for each in missing if not isinstance(each, LeftOut)]
    known = get_run(tracking, run_id).data.tags
    for tag, text in ((MISSING_TAG, "\n".join(map(str, missing))), (FAILED_TAG, ", ".join(failed))):
        if text:
            set_tags(tracking, run_id, {tag: text})
        elif tag in known:
            connect(tracking).delete_tag(run_id, tag)


def tag_missing_part(tracking: TrackingConfig, run_id: str, part: str, missing: Missing | None) -> None:
    """Tag a run with a part of a step that failed to be shown; None takes an earlier tag away."""
    name = f"{MISSING_TAG}.{outside_name(part)}"
    if missing is not None:
        set_tags(tracking, run_id, {name: str(missing)})
    elif name in get_run(tracking, run_id).data.tags:
        connect(tracking).delete_tag(run_id, name)


def missing_parts(tracking: TrackingConfig, run_id: str) -> tuple[Missing, ...]:
    """Read what :func:`tag_missing_part` has left on a run."""
    tags = get_run(tracking, run_id).data.tags
    return tuple(
        Missing(*text.split(": ", 1)) for name, text in tags.items() if name.startswith(f"{MISSING_TAG}.")
    )


def log_dataset(
    tracking: TrackingConfig, run_id: str, samples: pd.DataFrame, source: str, name: str, digest: str
) -> None:
    """Log the data set with its digest, once."""
    client = connect(tracking)
    known = client.get_run(run_id).inputs
    if known is not None and known.dataset_inputs:
        return
    dataset = from_pandas(samples, source=redacted(source), name=name, digest=digest[:32])
    context = InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, [DatasetInput(entity_of(dataset), [context])])


def log_figures(tracking: TrackingConfig, run_id: str, figures: Mapping[str, Figure]) -> None:
    """Log figures as PNG below ``figures/``."""
    client = connect(tracking)
    for name, figure in figures.items():
        client.log_figure(run_id, figure, f"figures/{name}.png")


def log_table(tracking: TrackingConfig, run_id: str, table: pd.DataFrame, name: str) -> None:
    """Log a table below ``tables/``, as MLflow shows it and as CSV; it replaces an earlier one."""
    client = connect(tracking)
    table = table.map(without_secrets)
    content = table.astype(object).where(table.notna(), None).to_dict("split")
    client.log_dict(run_id, {"columns": content["columns"], "data": content["data"]}, f"tables/{name}.json")
    csv = spreadsheet.table(content["columns"], content["data"])
    client.log_text(run_id, csv, f"tables/{name}.csv")
    shown = json.loads(client.get_run(run_id).data.tags.get(LOGGED_ARTIFACTS, "[]"))
    entry = {"path": f"tables/{name}.json", "type": "table"}
    if entry not in shown:
        client.set_tag(run_id, LOGGED_ARTIFACTS, json.dumps([*shown, entry]))


def log_names(tracking: TrackingConfig, run_id: str, names: Iterable[str]) -> None:
    """Log the names that :func:`outside_names` changes, by what it makes of them."""
    changed = {written: name for name, written in outside_names(names).items() if written != name}
    if changed:
        connect(tracking).log_dict(run_id, without_secrets(changed), NAMES)


def log_file(tracking: TrackingConfig, run_id: str, file: Path, folder: str | None = None) -> None:
    """Log a file as artifact."""
    connect(tracking).log_artifact(run_id, str(file), folder)


def log_text(tracking: TrackingConfig, run_id: str, text: str, path: str) -> None:
    """Log text as artifact, without secrets."""
    connect(tracking).log_text(run_id, redacted(text), path)


def watch_system(tracking: TrackingConfig, run_id: str) -> SystemMetricsMonitor | None:
    """Record CPU, memory and GPU use until ``finish()`` is called on the result."""
    if not tracking.system_metrics:
        return None
    connect(tracking)
    monitor = SystemMetricsMonitor(run_id, sampling_interval=5, resume_logging=True)
    monitor.start()
    return monitor


def run_url(tracking: TrackingConfig, run_id: str, artifact: str | None = None) -> str | None:
    """Return the page of a run or of one of its artifacts; None without a server."""
    page = without_login(tracking.page_url or str(tracking.tracking_uri))
    if not page.startswith("http"):
        return None
    return f"{page.rstrip('/')}/{run_page(tracking, run_id, artifact)}"


def run_page(tracking: TrackingConfig, run_id: str, artifact: str | None = None) -> str:
    """Return the address of that page relative to MLflow's own pages."""
    experiment = connect(tracking).get_run(run_id).info.experiment_id
    page = f"#/experiments/{experiment}/runs/{run_id}"
    return f"{page if artifact is None else f'{page}/artifacts/{artifact}'}?{TRAINING_PAGES}"


def version_page(name: str, version: str) -> str:
    """Return the address of the page of a model's version relative to MLflow's own pages."""
    return f"#/models/{name}/versions/{version}?{TRAINING_PAGES}"


def get_run(tracking: TrackingConfig, run_id: str) -> Run:
    """Return the run with its metrics, parameters and tags."""
    return connect(tracking).get_run(run_id)


def has_ended_well(tracking: TrackingConfig, run_id: str) -> bool:
    """Return whether nothing is left to log: the run is finished or deleted."""
    try:
        return bool(get_run(tracking, run_id).info.status == "FINISHED")
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return True


def find_run(tracking: TrackingConfig, name: str) -> Run | None:
    """Find a parent run by its id, key or name; the newest if several have the name.

    ``last`` is the newest retraining: runs of other flows have neither a report nor a model.
    """
    if "'" in name:
        return None  # no run has such a name, and a filter cannot hold it
    client = connect(tracking)
    experiment = _experiment(client, tracking)
    is_parent = f"tags.`{PART}` = 'run'"
    fields = ("attributes.run_id", f"tags.`{KEY}`", "attributes.run_name")
    of_retraining = f"tags.kind = 'retrain' and {is_parent}"
    filters = (
        [of_retraining] if name == "last" else [f"{field} = '{name}' and {is_parent}" for field in fields]
    )
    for condition in filters:
        newest_first = ["attributes.start_time DESC"]
        for run in client.search_runs([experiment], condition, order_by=newest_first, max_results=1):
            return run
    return None


def last_retraining(tracking: TrackingConfig, model: str) -> Run | None:
    """Return the newest finished retraining that made a version of a registered model; None without one."""
    client = connect(tracking)
    finished = (
        f"attributes.status = 'FINISHED' and tags.kind = 'retrain' and tags.`{PART}` = 'run' "
        f"and tags.{VERSION_TAG} LIKE '{model}/%'"
    )
    order, page = ["attributes.end_time DESC"], None
    while True:
        page_of_runs = client.search_runs(
            [_experiment(client, tracking)], finished, order_by=order, max_results=20, page_token=page
        )
        for run in page_of_runs:  # LIKE takes _ for any letter
            if run.data.tags[VERSION_TAG].rpartition("/")[0] == model:
                return run
        page = page_of_runs.token
        if not page:
            return None


def drift_since(tracking: TrackingConfig, model: str, moment: int) -> bool:
    """Return whether `monitor` has found drift of a registered model since a moment in ms since 1970."""
    client = connect(tracking)
    drifted = (
        f"tags.kind = 'monitor' and tags.drift = 'yes' and tags.model_name = '{model}' "
        f"and attributes.start_time > {moment}"
    )
    return bool(client.search_runs([_experiment(client, tracking)], drifted, max_results=1))


def download(tracking: TrackingConfig, run_id: str, path: str, to: Path) -> Path:
    """Fetch an artifact of a run into a folder."""
    to.mkdir(parents=True, exist_ok=True)
    return Path(connect(tracking).download_artifacts(run_id, path, str(to)))


def read_text(tracking: TrackingConfig, run_id: str, path: str) -> str | None:
    """Read the text of an artifact of a run; None without an artifact of this name."""
    if path not in [file.path for file in connect(tracking).list_artifacts(run_id)]:
        return None
    with TemporaryDirectory() as folder:
        return download(tracking, run_id, path, Path(folder)).read_text("utf-8", "surrogatepass")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten ``{"a": {"b": 1}}`` to ``{"a.b": 1}``; lists become text such as ``32, 64``.

    Each part of a name is one that MLflow takes, as some are names of columns.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = outside_name(key)
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            flat[f"{prefix}{name}"] = ", ".join(map(str, value))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _describe(client: MlflowClient, experiment: str) -> None:
    """Set the description and views of an experiment, unless it has them."""
    tags = client.get_experiment(experiment).tags
    views = {view.title: view.link(experiment) for view in VIEWS}
    wanted = {
        NOTE: of_experiment(views),
        EXPERIMENT_KIND: TRAINING,
        **{view.tag: view.state() for view in VIEWS},
    }
    for name, value in wanted.items():
        if name not in tags:
            client.set_experiment_tag(experiment, name, value)


def _experiment(client: MlflowClient, tracking: TrackingConfig) -> str:
    known = client.get_experiment_by_name(tracking.experiment)
    if known is not None:
        if known.lifecycle_stage == "deleted":
            client.restore_experiment(known.experiment_id)
        return known.experiment_id
    try:
        return client.create_experiment(tracking.experiment, tracking.artifact_location)
    except mlflow.MlflowException:  # another process was faster
        known = client.get_experiment_by_name(tracking.experiment)
        if known is None:
            raise
        return known.experiment_id
