"""Tasks: find a model, compare a table with what it carries, tell who asked to be told."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event

from components.config import TrackingConfig
from components.config.monitor import MonitorConfig
from components.data.quarantine import Quarantine
from components.errors import ModelError
from components.inference.bundle import REFERENCE
from components.inference.predictor import Predictor
from components.inference.reference_rows import read_sample
from components.monitoring.compare import compare
from components.monitoring.figures import drift_figure
from components.monitoring.incoming import look
from components.monitoring.results import MEASURES, Drift
from components.scoring.job import Model
from components.storage.atomic import write_json
from tasks.artifacts import show_quarantine
from tasks.context import Run
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracking import registry, runs

EVENT = "braid.drift"


@step(name="find model", task_run_name="find {config.model}", tags=["data"])
def find_task(config: MonitorConfig, at: TrackingConfig, workspace: Path) -> Model:
    """The model, its bundle fetched if need be.

    Raises:
        ModelError: If there is none, or it carries nothing to compare with.
    """
    uri = registry.find_model(at, config.model)
    version = registry.source(at, uri)
    bundle = registry.kept_bundle(at, uri, workspace / "models")
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
    predictor, old = Predictor(Path(model.bundle)), read_sample(Path(model.bundle) / REFERENCE)
    with gpu_slot():
        incoming = look(config, predictor, old, progress)
    drift = compare(old, incoming, predictor.bundle.inputs, predictor.bundle.delivered.targets, config)
    progress.finish(headline(drift))

    runs.set_tags(at, id, {**_tags(model, drift), "mlflow.note.content": headline(drift)})
    runs.log_metrics(at, id, metrics(drift))
    runs.log_table(at, id, table(drift), "drift")
    runs.log_figures(at, id, {"drift": drift_figure(drift)})
    write_json(run.folder / "drift.json", asdict(drift))
    runs.log_file(at, id, run.folder / "drift.json")
    _quarantine(run, incoming.quarantine)
    rows: list[dict[str, Any]] = table(drift).astype(str).to_dict("records")  # type: ignore[assignment]
    create_table_artifact(rows, key="drift", description=headline(drift))
    create_markdown_artifact(_markdown(model, drift, config), key="drift-summary")
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
        event=EVENT,
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
            "headline": headline(drift),
        },
    )


def headline(drift: Drift) -> str:
    """What was found, in a sentence."""
    compared = f"{drift.usable} of {drift.rows} rows compared with {drift.reference} that the model carries"
    if not drift.drifted:
        return f"No drift in {len(drift.tests)} tests: {compared}"
    return f"Drift in {', '.join(drift.parts)}: {compared}"


def metrics(drift: Drift) -> dict[str, float]:
    """Effects and p-values by the names that they have in MLflow."""
    found: dict[str, float] = {
        "drift": float(drift.drifted),
        "drift_tests": len(drift.tests),
        "drift_alarms": sum(test.drifted for test in drift.tests),
        "rows": drift.rows,
        "rows_looked_at": drift.looked,
        "rows_compared": drift.usable,
    }
    for test in drift.tests:
        found |= {
            f"drift_{test.key}": test.effect,
            f"drift_{test.key}_p": test.p,
            f"drift_{test.key}_p_adjusted": test.adjusted,
        }
    return {_taken(name): value for name, value in found.items()}


def _taken(name: str) -> str:
    """A metric's name with those characters alone that MLflow takes."""
    return "".join(letter if letter.isalnum() or letter in "_-./ :" else "_" for letter in name)


def table(drift: Drift) -> pd.DataFrame:
    """A row a test."""
    return pd.DataFrame(
        [
            {
                "compared": test.name,
                "measure": MEASURES[test.kind],
                "effect": round(test.effect, 4),
                "floor": test.floor,
                "p": float(f"{test.p:.3g}"),
                "p adjusted": float(f"{test.adjusted:.3g}"),
                "drift": "yes" if test.drifted else "no",
            }
            for test in drift.tests
        ]
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


def _markdown(model: Model, drift: Drift, config: MonitorConfig) -> str:
    version = f" version {model.version}" if model.version else ""
    lines = [f"# {'Drift' if drift.drifted else 'No drift'}: {model.name}{version}", f"{headline(drift)}."]
    lines += [
        f"- **{test.name}**: {MEASURES[test.kind]} {test.effect:.3f} (alarm from {test.floor:g}), "
        f"p {test.adjusted:.2g} for all {len(drift.tests)} tests"
        for test in drift.tests
        if test.drifted
    ]
    lines += [f"- not compared: {note}" for note in drift.notes]
    lines.append(
        f"Chance of any false alarm in this report: at most {config.level:.0%}. Table: {config.manifest}"
    )
    return "\n\n".join([lines[0], lines[1], "\n".join(lines[2:-1]), lines[-1]])
