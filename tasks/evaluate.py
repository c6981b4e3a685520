"""Task: select, package and evaluate the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from components.evaluation.figures import all_figures
from components.evaluation.intervals import bounds
from components.evaluation.results import Curve, Evaluation, Evaluations
from components.inference.bundle import bundle_bytes, model_digest
from components.pipeline.evaluate import evaluate_model, read_curves, training_folders
from components.pipeline.package import package_model
from components.references import Dataset, Features, FusedModel, OutOfFold, Prepared, Single, Trained
from components.storage.atomic import replacing, write_bytes
from components.storage.names import outside_name
from tasks.artifacts import log_result
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import step
from tasks.tracking import runs


@dataclass(frozen=True)
class Evaluated:
    """Files of an evaluation.

    Attributes:
        evaluation: JSON of :class:`components.evaluation.results.Evaluations`.
        predictions: Parquet of the test predictions.
        curves: Histories of the trainings, by name.
    """

    evaluation: str
    predictions: str
    curves: dict[str, str]

    def read(self) -> Evaluation:
        """Read the evaluation of the primary target."""
        return self.read_all()[0]

    def read_all(self) -> tuple[Evaluation, ...]:
        """Read the evaluation of every target, the primary one first."""
        return Evaluations.from_json(Path(self.evaluation).read_text("utf-8")).evaluations

    def read_predictions(self) -> pd.DataFrame:
        """Read one row per test sample; see :class:`components.pipeline.evaluate.ModelEvaluation`."""
        return pd.read_parquet(self.predictions)

    def read_curves(self) -> tuple[Curve, ...]:
        """Read the training curves of the fits and the fusion, except those of one pass."""
        return read_curves(self.curves, self.read().metric)


@step(name="evaluate", task_run_name="evaluate", tags=["evaluation"])
def evaluate_task(
    context: Context,
    dataset: Dataset,
    prepared: dict[str, Prepared],
    singles: dict[str, Single],
    features: dict[str, Features],
    unseen: dict[str, OutOfFold],
    fused: FusedModel | None,
    fused_folds: Sequence[FusedModel],
    trees: Sequence[FusedModel],
    aligned: Trained | None = None,
) -> Evaluated:
    """Select among the candidates, write the bundle, evaluate it on test."""
    config, at, run = context.config, context.tracking, context.mlflow_run
    progress = Progress(context, "evaluate")
    progress(0, 2, "choosing among the candidates")
    selection = package_model(
        dataset,
        prepared,
        singles,
        features,
        unseen,
        fused,
        fused_folds,
        trees,
        config,
        context.bundle,
        aligned,
    )
    progress(1, 2, "evaluating on test")
    model_evaluation = evaluate_model(dataset, selection, features, fused, context.bundle, config, singles)
    evaluation, *further = model_evaluation.evaluations

    result = context.folder / "evaluation.json"
    write_bytes(result, Evaluations(model_evaluation.evaluations).to_json().encode("utf-8", "surrogatepass"))
    predictions = context.folder / "predictions.parquet"
    with replacing(predictions) as temporary:
        model_evaluation.predictions.to_parquet(temporary, index=False)
    evaluated = Evaluated(str(result), str(predictions), training_folders(singles, fused))

    tags = _tags(evaluation, config.fusion.name, config.strategy)
    about = {runs.MODEL_TAG: model_digest(context.bundle), runs.SIZE_TAG: str(bundle_bytes(context.bundle))}
    runs.set_tags(at, run, {**tags, **about})
    _log_parts(context, evaluation, fused)
    log_result(context, evaluation, result, lambda: all_figures(evaluation, evaluated.read_curves()))
    for other in further:
        prefix = f"{outside_name(other.target)}_"
        log_result(context, other, figures=partial(all_figures, other), prefix=prefix)
    runs.log_file(at, run, predictions)
    progress.finish(evaluation.headline)
    return evaluated


def _log_parts(context: Context, evaluation: Evaluation, fused: FusedModel | None) -> None:
    """Log the test result of each fit and of the fusion in its own run, under the names of every run."""
    at, metric = context.tracking, evaluation.metric
    for candidate in evaluation.candidates[:-1]:
        part = fused.training.name if candidate.kind == "fusion" and fused is not None else candidate.name
        run = runs.find_part(at, context.mlflow_run, part)
        if run is None:  # as the average trains nothing, and a frozen encoder has no fit
            continue
        runs.log_metrics(at, run, bounds(f"test_{metric}", candidate.on_test(metric)))
        if candidate.kind == "fusion":
            runs.set_tags(at, run, {"fusion_helps": evaluation.fusion_helps})


def _tags(evaluation: Evaluation, fusion: str, strategy: str) -> dict[str, str]:
    worst = evaluation.worst_subset
    return {
        "fusion": fusion,
        "strategy": strategy,
        "fusion_helps": evaluation.fusion_helps,
        "delivered": evaluation.chosen,
        runs.METRIC_TAG: evaluation.metric,
        "best_single": evaluation.best_single,
        "worst_subset": "+".join(worst.inputs) if worst else "",
        "under_optimised": "+".join(evaluation.under_optimised),
        runs.NOTE: evaluation.headline,
    }
