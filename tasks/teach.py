"""Task: find the teacher and predict every row with it."""

from pathlib import Path

from prefect import get_run_logger

from components.distillation.expectation import expectations
from components.distillation.teacher import teach
from components.errors import ModelError
from components.references import Dataset, TeacherPredictions
from components.storage.atomic import replacing
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracking import registry, runs


@step(name="teach", task_run_name="ask the teacher", tags=["features"])
def teach_task(
    context: Context,
    dataset: Dataset,
    teacher: str | None,
    pipeline: Path,
    students: dict[str, list[str]],
) -> TeacherPredictions:
    """Predict all rows with the teacher, except those in the cache, and say if its help is to be expected.

    Args:
        context: The run.
        dataset: Reference to the samples.
        teacher: Teacher of the distill file.
        pipeline: Pipeline file, named in the remedy where there is no teacher.
        students: Inputs of each student, by name.
    """
    progress = Progress(context, "teach")
    bundle = _bundle(context, teacher, pipeline)
    with gpu_slot(context):
        predictions = teach(dataset, context.config, bundle, context.cache / "teachers", progress)
    runs.log_metrics(context.tracking, context.mlflow_run, {"teacher_rows_answered": predictions.answered})
    for expectation in expectations(dataset, bundle, students):
        get_run_logger().info("%s", expectation.sentence)
        worth = {f"{expectation.student}_expected_worth": expectation.worth}
        runs.log_metrics(context.tracking, context.mlflow_run, worth)
    progress.finish(
        f"{predictions.answered} of {dataset.rows} rows answered from {' + '.join(predictions.uses)}"
    )
    return predictions


def _bundle(context: Context, teacher: str | None, pipeline: Path) -> Path:
    """Find the teacher's bundle. One from the registry is copied into the run, for when it is resumed."""
    uri = teacher or f"models:/{context.config.model_name}@{registry.CHAMPION}"
    if not uri.startswith("models:/"):
        folders = [Path(uri), context.base / uri, context.workspace / "runs" / uri / "bundle"]
        for folder in folders:
            if (folder / "model.json").exists():
                return folder
        raise ModelError(
            f"teacher: {uri!r} is neither models:/NAME@champion nor a run with a model nor a folder with "
            f"model.json; looked in {', '.join(map(str, folders))}"
        )
    copy = context.folder / "teacher"
    if not copy.exists():
        version = registry.find(context.tracking, uri)
        if version is None:
            registered_in = context.tracking.registry_uri or context.tracking.tracking_uri
            raise ModelError(
                f"teacher: there is no {uri} in {registered_in}. "
                f"Train it first: braid run {pipeline} --workspace {context.workspace}"
            )
        runs.set_tags(context.tracking, context.mlflow_run, {"teacher": version.uri})
        with replacing(copy) as temporary:
            temporary.mkdir(parents=True)
            registry.download_bundle(context.tracking, version.uri, temporary)
    return next(copy.rglob("model.json")).parent
