"""Task: look whether a retraining is worth it."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import Run
from prefect import get_run_logger

from components.config import PipelineConfig, TrackingConfig
from components.config.durations import seconds
from components.config.when import When
from components.inference.learned_rows import LEARNED, count_new, read_learned
from components.pipeline.basis import Basis, NoRetraining, basis_of
from components.promotion.verdict import Verdict
from components.references import Dataset
from tasks.context import Context
from tasks.promote import EVIDENCE
from tasks.step import step
from tasks.tracking import registry, runs

_HOUR, _DAY = 3600, 86_400


@step(name="look", task_run_name="look for news", tags=["data"])
def look_task(context: Context, dataset: Dataset, again: bool, when: When) -> NoRetraining | None:
    """Record what decides the result of the run, and look for a reason to go on.

    Args:
        context: The run.
        dataset: Reference to the samples.
        again: True for a run that goes on in any case.
        when: Conditions of the schedule.
    """
    at, model = context.tracking, context.config.model_name
    basis = basis_of(dataset, context.config)
    runs.set_tags(at, context.mlflow_run, {runs.BASIS_TAG: json.dumps(asdict(basis))})
    last = None if again else runs.last_retraining(at, model)
    if last is None:
        return None
    version = registry.find(at, f"models:/{last.data.tags[runs.VERSION_TAG]}")
    since = last.data.tags[runs.KEY]
    news = list(news_since(at, context.config, basis, last, version))
    if version is None or (news and when.is_empty):
        get_run_logger().info("new since run %s: %s", since, ", ".join(news))
        return None
    if not news:
        reason = f"nothing new since run {since}: data, code, settings and libraries are the same"
    else:
        held, failed = conditions(at, context.config, dataset, when, last, version)
        if held:
            get_run_logger().info("reason to retrain: %s", ", ".join(held))
            return None
        reason = f"no reason to retrain since run {since}: {', '.join(failed)}"
    ended = NoRetraining(
        key=context.key,
        mlflow_run=context.mlflow_run,
        since=since,
        since_run=last.info.run_id,
        model=model,
        version=version.version,
        decision=last.data.tags.get("promotion", "not decided"),
        reason=reason,
    )
    runs.set_tags(at, context.mlflow_run, {"kind": "look", runs.NOTE: ended.sentence})
    get_run_logger().info("%s", ended.sentence)
    return ended


def news_since(
    at: TrackingConfig, config: PipelineConfig, basis: Basis, last: Run, version: registry.Version | None
) -> Iterator[str]:
    """Name what a run would not repeat of the last one.

    The decision of the last run stands where the champion is its version, or the one that was compared with
    it. Against another champion the rule may decide otherwise.

    Args:
        at: Address of MLflow.
        config: The pipeline.
        basis: What decides the result of the run.
        last: The last finished run.
        version: Version that it made; None if that is deleted.
    """
    tags = last.data.tags
    yield from basis.changed(json.loads(tags.get(runs.BASIS_TAG, "{}")))
    if runs.FAILED_TAG in tags or any(name.startswith(f"{runs.MISSING_TAG}.") for name in tags):
        yield "steps that failed"
    if version is None:
        yield "its version is deleted"
        return
    champion = registry.champion(at, version.name)
    recorded = runs.read_text(at, version.run, EVIDENCE)
    compared = None if recorded is None else Verdict.from_json(recorded).champion
    if champion is None:
        if config.promotion.mode != "dry_run" or compared is not None:
            yield "there is no champion"
    elif champion.label not in (version.label, compared):
        yield f"the champion ({champion.label})"


def conditions(
    at: TrackingConfig,
    config: PipelineConfig,
    dataset: Dataset,
    when: When,
    last: Run,
    version: registry.Version,
) -> tuple[list[str], list[str]]:
    """Describe the conditions of a schedule that hold, and those that do not.

    Args:
        at: Address of MLflow.
        config: The pipeline.
        dataset: Reference to the samples.
        when: The conditions.
        last: The last finished run.
        version: Version that it made.
    """
    checks: list[tuple[bool, str]] = []
    if when.new_rows is not None:
        count = _new_rows(at, config, dataset, version)
        checks.append((count >= when.new_rows, f"{count} new rows (new_rows: {when.new_rows})"))
    if when.drift:
        drifted = runs.drift_since(at, version.name, last.info.start_time)
        checks.append((drifted, f"{'drift' if drifted else 'no drift'} found (drift: true)"))
    if when.max_age is not None:
        age = time.time() - last.info.end_time / 1000
        checks.append((age >= seconds(when.max_age), f"{_period(age)} old (max_age: {when.max_age})"))
    return [text for holds, text in checks if holds], [text for holds, text in checks if not holds]


def _new_rows(at: TrackingConfig, config: PipelineConfig, dataset: Dataset, version: registry.Version) -> int:
    """Count rows to learn from that a version has not learned from; all where it does not tell."""
    with TemporaryDirectory() as folder:
        file = registry.bundle_file(at, version, LEARNED, Path(folder))
        learned = () if file is None else read_learned(file.parent)
    return count_new(dataset, config, learned[0]) if learned else dataset.rows


def _period(age: float) -> str:
    return f"{age / _HOUR:.1f} hours" if age < 2 * _DAY else f"{age / _DAY:.1f} days"
