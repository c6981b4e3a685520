"""Tasks that measure a model beside its evaluation: search, robustness, explanations, audit of the data."""

from prefect import get_run_logger

from components.audit.results import Audit
from components.audit.run import audit
from components.explanations.explain import explain_samples
from components.explanations.figures import explanation_figures
from components.explanations.results import Explanations
from components.references import Dataset, Features, FusedModel, Prepared, Trained
from components.retrieval.results import Retrievals
from components.robustness.figures import robustness_figures
from components.robustness.measure import measure_robustness
from components.robustness.results import Robustness
from tasks.artifacts import Written, show_result, write_result
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracked_training import TrackedSteps
from tasks.tracking import runs


@step(name="retrieval", task_run_name="retrieval", tags=["evaluation"])
def retrieval_task(
    context: Context, dataset: Dataset, fused: FusedModel, aligned: Trained
) -> Written[Retrievals]:
    """Search from every input to every other on test; to MLflow, a table to the dashboard."""
    progress = Progress(context, "retrieval")
    retrievals = TrackedSteps(context).retrieval(dataset, fused, aligned)
    written = write_result(context, retrievals, "retrieval")
    progress.finish(retrievals.headline)
    return written


@step(name="robustness", task_run_name="robustness", tags=["evaluation"])
def robustness_task(context: Context, dataset: Dataset, evaluated: Evaluated) -> Written[Robustness]:
    """Score damaged and incomplete copies of test rows; curves to MLflow, tables to the dashboard."""
    progress = Progress(context, "robustness")
    with gpu_slot(context):
        robustness = measure_robustness(dataset, context.bundle, evaluated.read(), context.config, progress)
    written = write_result(context, robustness, "robustness", lambda: robustness_figures(robustness))
    progress.finish(robustness.headline)
    return written


@step(name="explain", task_run_name="explain", tags=["evaluation"])
def explain_task(context: Context, dataset: Dataset, evaluated: Evaluated) -> Written[Explanations]:
    """Look into the worst and some typical test rows; figures to MLflow, in short to the dashboard."""
    progress = Progress(context, "explain")
    with gpu_slot(context):
        predictions = evaluated.read_predictions()
        explanations = explain_samples(dataset, context.bundle, predictions, context.config, progress)
    written = write_result(context, explanations, "explanations", lambda: explanation_figures(explanations))
    progress.finish(explanations.headline)
    return written


@step(name="audit", task_run_name="audit", tags=["data"])
def audit_task(
    context: Context,
    dataset: Dataset,
    prepared: dict[str, Prepared],
    features: dict[str, Features],
    evaluated: Evaluated,
) -> Written[Audit]:
    """Votes on labels, duplicates across splits, leaks; warnings to MLflow, the log and the dashboard."""
    progress = Progress(context, "audit")
    result = audit(dataset, prepared, features, evaluated.read(), context.config)
    written = write_result(context, result, "audit")
    runs.set_tags(context.tracking, context.mlflow_run, {"audit": "+".join(result.kinds) or "good"})
    for warning in result.warnings:
        get_run_logger().warning("%s", warning)
    show_result("audit", "Audit of the data", result)
    progress.finish(result.headline)
    return written
