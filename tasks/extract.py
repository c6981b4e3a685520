"""Task: canonical samples of one input to features."""

from components.pipeline.extract import extract
from components.references import Dataset, EncoderWeights, Features, Prepared, Single
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracking import runs


@step(name="extract", task_run_name="extract {name}", tags=["features"])
def extract_task(
    context: Context,
    dataset: Dataset,
    prepared: Prepared,
    encoder: Single | EncoderWeights,
    name: str,
    purpose: str = "",
) -> Features:
    """Embed what the feature store does not have yet."""
    label = f"{name}{purpose}"
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
