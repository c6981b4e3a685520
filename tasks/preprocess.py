"""Task: samples of one input to canonical shards."""

from components.pipeline.preprocess import prepare
from components.references import Dataset, Prepared
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import step


@step(name="preprocess", task_run_name="preprocess {name}", tags=["data"])
def preprocess_task(context: Context, dataset: Dataset, name: str) -> Prepared:
    """Decode and normalise what the store does not have yet."""
    progress = Progress(context, f"preprocess {name}")
    config = context.config
    prepared = prepare(
        dataset,
        name,
        config.inputs[name],
        context.cache / "canonical",
        config.engine.shard_rows,
        progress,
        config.engine,
    )
    progress.finish(f"{prepared.made} of {prepared.rows} samples prepared")
    return prepared
