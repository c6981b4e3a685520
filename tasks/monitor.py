"""Tasks: find a model, compare a table with what it carries, tell who asked to be told."""

from dataclasses import asdict
from pathlib import Path

from prefect import get_run_logger
from prefect.events import emit_event

from components.config import TrackingConfig
from components.config.monitor import DRIFT_EVENT, MonitorConfig
from components.data.quarantine import Quarantine
from components.errors import ModelError
from components.inference.bundle import REFERENCE
from components.inference.predictor import Predictor
from components.inference.reference_rows import read_sample
from components.monitoring.compare import compare
from components.monitoring.figures import drift_figure
from components.monitoring.incoming import look
from components.monitoring.reference import respelled
from components.monitoring.results import Drift
from components.results import markdown
from components.scoring.job import Model
from components.storage.atomic import write_json
from tasks.artifacts import log_result, show_quarantine, show_result
from tasks.context import Run
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracking import registry, runs


@step(name="find model", task_run_name="find {config.model}", tags=["data"])
def find_task(config: MonitorConfig, at: TrackingConfig, workspace: Path) -> Model:
    """The model, its bundle fetched if need be.

    Raises:
        ModelError: If there is none, or it carries nothing to compare with.
    """
    uri = registry.find_model(at, config.model)
    version = registry.source(at, uri)
    bundle = registry.cached_bundle(at, uri, workspace / "models")
    if not (bundle / REFERENCE).exists():
        raise ModelError(
            f"{config.model}: the model carries no rows that new data could be compared with (it was made "
            "with monitoring.rows: 0, or by an older braid). Set monitoring.rows and run the pipeline again"
        )
    return Model(version.name, version.version or None, version.run, str(bundle))


@step(name="compare", task_run_name="compare {config.manifest}", tags=["evaluation"])
def compare_task(run: Run, config: MonitorConfig, model: Model) -> Drift:
    """Look at new rows, compare them with the model's, log what was found."""
    progress = Progress(run, "compare")
    at, id = run.tracking, run.mlflow_run
    predictor = Predictor(Path(model.bundle))
    old = respelled(read_sample(Path(model.bundle) / REFERENCE), predictor.bundle)
    with gpu_slot(run):
        incoming = look(config, predictor, old, progress)
    drift = compare(old, incoming, predictor.bundle.inputs, predictor.bundle.delivered.targets, config)
    progress.finish(drift.headline)

    runs.set_tags(at, id, {**_tags(model, drift), runs.NOTE: drift.headline})
    file = run.folder / "drift.json"
    write_json(file, asdict(drift))
    runs.log_names(at, id, [name for test in drift.tests for name in (test.part, test.column) if name])
    log_result(run, drift, file, lambda: {"drift": drift_figure(drift)})
    _quarantine(run, incoming.quarantine)
    version = f" version {model.version}" if model.version else ""
    show_result("drift_summary", f"{model.name}{version} and {config.manifest}", drift)
    for note in drift.notes:
        get_run_logger().warning("not compared: %s", note)
    return drift


@step(name="announce drift", task_run_name="announce drift", tags=["evaluation"])
def announce_task(run: Run, config: MonitorConfig, model: Model, drift: Drift) -> None:
    """Emit the event ``braid.drift``, which an automation can start ``retrain`` by.

    Its resource:
        ``prefect.resource.id``: ``braid.model.NAME``; NAME is that of the registered model.
        ``prefect.resource.name``: NAME.
        ``braid.model.version``: Number of the version that was compared, as text; empty for the model of a
            run that is not registered.

    Its payload:
        ``config``: Name of the pipeline that made the model (tag ``config`` of its run).
        ``config_file``: Absolute path of the pipeline file that its run was started with, on the machine of
            that run (tag ``config_file``); null where it is not recorded.
        ``model``, ``version``, ``model_run``: Name, version (null if not registered) and run of the model.
        ``manifest``: The table, as it was named.
        ``drifted``: What has moved: names of inputs, and ``targets``, ``answers``, ``quarantine``.
        ``drifted_inputs``: Names of the inputs that have moved.
        ``tests``: Names of the tests that raised the alarm, such as ``audio_mmd``, by their adjusted p-value.
        ``mlflow_run``: The monitoring run.
        ``headline``: A sentence for people.
    """
    tags = runs.get_run(run.tracking, model.run).data.tags
    emit_event(
        event=DRIFT_EVENT,
        resource={
            "prefect.resource.id": f"braid.model.{model.name}",
            "prefect.resource.name": model.name,
            "braid.model.version": model.version or "",
        },
        payload={
            "config": tags.get("config"),
            "config_file": tags.get("config_file"),
            "model": model.name,
            "version": model.version,
            "model_run": model.run,
            "manifest": config.manifest,
            "drifted": list(drift.parts),
            "drifted_inputs": list(drift.inputs),
            "tests": {test.key: test.adjusted for test in drift.tests if test.drifted},
            "mlflow_run": run.mlflow_run,
            "headline": markdown.plain(drift.headline),  # for chats, which know markup too
        },
    )


def _quarantine(run: Run, quarantine: Quarantine) -> None:
    path = run.folder / "quarantine.parquet"
    quarantine.write(path)
    runs.log_file(run.tracking, run.mlflow_run, path)
    show_quarantine(quarantine.table.to_pandas(), f"{len(quarantine.rows)} of the rows drawn have faults")


def _tags(model: Model, drift: Drift) -> dict[str, str]:
    return {
        "model": f"models:/{model.name}/{model.version}" if model.version else f"runs:/{model.run}/model",
        "model_name": model.name,
        "model_version": model.version or "",
        "model_run": model.run,
        "drift": "yes" if drift.drifted else "no",
        "drifted": "+".join(drift.parts),
        "drifted_inputs": "+".join(drift.inputs),
    }
