"""Tasks from the manifest to features: ingest, preprocess, extract."""

import json

import pandas as pd
from prefect import get_run_logger

from components.data.ingest import ingest
from components.data.samples import open_samples_table
from components.pipeline.extract import extract
from components.pipeline.learners import learners_of
from components.pipeline.preprocess import prepare
from components.redaction import redacted
from components.references import Dataset, EncoderWeights, Features, Learner, Prepared, Single
from components.reproduction.environment import environment
from tasks.artifacts import show_quarantine
from tasks.context import Context, data_folder
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracking import runs


@step(name="ingest", task_run_name="ingest", tags=["data"])
def ingest_task(context: Context) -> Dataset:
    """Read and check the manifest; unusable samples go to quarantine, with their reasons."""
    progress = Progress(context, "ingest")
    described = environment(context.config.engine.device)
    runs.log_text(context.tracking, context.mlflow_run, json.dumps(described, indent=1), runs.ENVIRONMENT)
    shared = data_folder(context.workspace, context.config)
    dataset = ingest(context.config, shared, context.base, progress, tables=context.folder)
    progress.finish(
        f"{dataset.rows} rows, {dataset.quarantined} in quarantine"
        + "".join(f", {count} without {name}" for name, count in dataset.missing.items() if count)
    )
    get_run_logger().info("%s: %s rows, digest %s", redacted(dataset.source), dataset.rows, dataset.digest)

    for finding in dataset.findings:
        get_run_logger().warning("%s", redacted(finding))
    quarantine = pd.read_parquet(dataset.quarantine)
    at, run = context.tracking, context.mlflow_run
    runs.log_dataset(
        at, run, open_samples_table(dataset).rows(), dataset.source, context.config.name, dataset.digest
    )
    runs.log_table(at, run, quarantine, "quarantine")
    inputs = context.config.inputs.values()
    runs.log_names(at, run, [*context.config.targets, *(name for each in inputs for name in each.columns)])
    readings = pd.DataFrame(list(dataset.readings.items()), columns=["column", "read as"])
    runs.log_table(at, run, readings, "columns")
    learners = [
        {"input": each.input, **each.options.model_dump(mode="json")}
        for each in learners_of(context.config, dataset)
    ]
    runs.log_text(at, run, json.dumps(learners, indent=1), "encoders.json")
    runs.set_tags(at, run, {runs.DATA_TAG: dataset.digest})
    runs.log_metrics(
        at,
        run,
        {
            "data_rows": dataset.rows,
            "data_quarantined": dataset.quarantined,
            **{f"data_{split}_rows": count for split, count in dataset.splits.items()},
            **{f"data_left_out_{reason}": count for reason, count in dataset.left_out.items()},
            **{f"data_{name}_missing": count for name, count in dataset.missing.items()},
        },
    )
    show_quarantine(quarantine, f"{len(quarantine)} entries; the first are shown")
    return dataset


@step(name="preprocess", task_run_name="preprocess {learner}", tags=["data"])
def preprocess_task(context: Context, dataset: Dataset, learner: Learner) -> Prepared:
    """Decode and normalise what the store does not have yet."""
    progress = Progress(context, f"preprocess {learner}")
    config = context.config
    prepared = prepare(
        dataset,
        learner.input,
        config.inputs[learner.input].with_encoder(learner.options),
        context.cache / "canonical",
        config.engine.shard_rows,
        progress,
        config.engine,
    )
    progress.finish(f"{prepared.made} of {prepared.rows} samples prepared")
    return prepared


@step(name="extract", task_run_name="extract {label}", tags=["features"])
def extract_task(
    context: Context,
    dataset: Dataset,
    prepared: Prepared,
    encoder: Single | EncoderWeights,
    label: str,
) -> Features:
    """Embed what the feature store does not have yet."""
    progress = Progress(context, f"extract {label}")
    weights = encoder.encoder if isinstance(encoder, Single) else encoder
    with gpu_slot(context, context.config.engine):
        features = extract(dataset, prepared, weights, context.config, context.cache / "features", progress)
    progress.finish(f"{features.extracted} of {features.rows} rows extracted")
    runs.log_metrics(
        context.tracking,
        context.mlflow_run,
        {f"extracted_rows_{label.replace(' ', '_')}": features.extracted},
    )
    return features
