"""Tasks: one trial of a sweep, its scores, and the ranking of all."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.config import PipelineConfig, TrackingConfig
from components.evaluation.intervals import bounds
from components.inference.ensemble import FUSION
from components.pipeline.follow import follow
from components.pipeline.fuse import fused_model
from components.pipeline.plain import PlainSteps
from components.pipeline.run import fuse_folds
from components.references import Dataset, Features, OutOfFold, Single
from components.storage.atomic import write_bytes
from components.sweep.figures import ranking_figure
from components.sweep.plan import Trial
from components.sweep.ranking import Comparison, Entrant, Ranking, rank_entrants
from components.sweep.score import DELIVERED, Scored, score
from components.sweep.trial import Pruner, TrialResult, begin_trial
from components.training.checkpoint import Epoch
from components.training.folds import Fold
from tasks.artifacts import show_result, write_result
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracking import runs

_DIGITS = 8  # digits of a trial's digest in names


@dataclass(frozen=True)
class Arm:
    """One pipeline with one seed, shared by all its trials.

    Attributes:
        context: Folder and MLflow run of the arm, below those of the sweep.
        sweep_run: MLflow run of the sweep, the parent of the trials.
        dataset: Reference to the samples.
        features, singles: Features and fits by input.
        unseen: Training rows out of fold, by input; empty without folds.
        folds: Folds of the training rows; empty without.
    """

    context: Context
    sweep_run: str
    dataset: Dataset
    features: dict[str, Features]
    singles: dict[str, Single]
    unseen: dict[str, OutOfFold]
    folds: Sequence[Fold]

    def label(self, trial: Trial) -> str:
        """Name a trial, the same in every run of the sweep."""
        return f"{self.context.config.name}/{trial.seed}/{trial.fusion}/{trial.digest[:_DIGITS]}"


@step(name="trial", task_run_name="trial {label}", tags=["training"])
def trial_task(
    arm: Arm, trial: Trial, config: PipelineConfig, label: str, earlier: list[tuple[float, ...]] | None
) -> TrialResult:
    """Train one trial on cached features, in a nested MLflow run of its own.

    Args:
        arm: Pipeline and seed of the trial.
        trial: Trial to train.
        config: The pipeline with the trial's options.
        label: Name of the trial.
        earlier: Histories that it must keep up with; None never prunes it.
    """
    at, metric = arm.context.tracking, config.target.metric
    facts = {"config": config.name, "dataset_digest": arm.dataset.digest}
    tags = {**facts, "kind": "trial", "fusion": trial.fusion}
    run = runs.nested_run(at, arm.sweep_run, label, tags)
    runs.log_params(at, run, config.model_dump(mode="json"))
    pruner = None if earlier is None else Pruner(metric, earlier, config.training.epochs)

    def tell(epoch: Epoch) -> None:
        runs.log_epoch(at, run, epoch, metric)

    with gpu_slot(arm.context, config.engine):
        cache = arm.context.cache / "trainings"
        steps = begin_trial(arm.dataset, arm.features, arm.singles, arm.unseen, config, cache, pruner)
        result = follow(steps, tell)
    values = {f"val_{metric}": result.metric, "val_loss": result.loss, "seconds": result.seconds}
    if result.training is not None:
        training = result.training
        values |= {"parameters": training.parameters, "best_epoch": training.best_epoch}
        values |= {"epochs": training.epochs}
    runs.log_final(at, run, values, len(result.history))
    overrides = " ".join(f"--set {text}" for text in trial.overrides)
    note = result.note or f"{result.status}: best val {metric} {result.metric:.3f} with `{overrides}`"
    runs.set_tags(at, run, {"status": result.status, "overrides": overrides, runs.NOTE: f"{label}: {note}"})
    runs.end_run(at, run, "FAILED" if result.status == "failed" else "FINISHED")
    return result


@step(name="score", task_run_name="score {label}", tags=["evaluation"])
def score_task(
    arm: Arm, trial: Trial, config: PipelineConfig, label: str, result: TrialResult, comparison: Comparison
) -> Entrant:
    """Evaluate a finished trial on test, once, beside the single inputs, their average and their product."""
    assert result.training is not None
    at, metric, folder = arm.context.tracking, config.target.metric, arm.context.folder
    stored = folder / "scores" / f"{trial.fusion}-{trial.digest[:_DIGITS]}.json"
    if stored.exists():
        scored = Scored.from_json(stored.read_text("utf-8"))
    else:
        steps = PlainSteps(config, arm.context.workspace, arm.context.base)
        fused = fused_model(result.training, arm.features)
        learned = arm.dataset, arm.features, arm.singles, arm.unseen
        with gpu_slot(arm.context, config.engine):
            fused_folds = fuse_folds(steps, config, *learned, arm.folds, fused)
        scored = score(*learned, fused, fused_folds, config, stored.with_suffix(".npz"))
        write_bytes(stored, scored.to_json().encode("utf-8", "surrogatepass"))

    run = runs.nested_run(at, arm.sweep_run, label, {})
    own, delivered = scored.scores[FUSION], scored.scores[DELIVERED]
    values = {**bounds(f"test_{metric}", own.test), **bounds(f"{DELIVERED}_test_{metric}", delivered.test)}
    runs.log_metrics(at, run, {**values, f"{DELIVERED}_val_{metric}": delivered.val})
    runs.set_tags(at, run, {comparison: "yes", DELIVERED: scored.chosen})
    runs.end_run(at, run, "FINISHED")
    for name, part in scored.scores.items():
        if part.kind in ("single", "average", "ideal"):
            prefix = name.replace(" ", "_")
            values = {f"{prefix}_val_{metric}": part.val, **bounds(f"{prefix}_test_{metric}", part.test)}
            runs.log_metrics(at, arm.context.mlflow_run, values)
    target = arm.dataset.targets.primary
    return Entrant(trial, comparison, scored, result.training.parameters, result.seconds, target)


@step(name="rank", task_run_name="rank", tags=["evaluation"])
def rank_task(
    context: Context, entrants: Sequence[Entrant], budget: int | None, skipped: dict[str, str]
) -> Ranking:
    """Rank the fusions of one pipeline; table and figure to MLflow, tables to the dashboard.

    Args:
        context: The sweep, with the pipeline.
        entrants: Every fusion and seed that finished.
        budget: Parameters of the second comparison.
        skipped: Reason per fusion that is not among the entrants.
    """
    config, at, run = context.config, context.tracking, context.mlflow_run
    progress = Progress(context, f"rank {config.name}")
    options = config.evaluation
    ranking = rank_entrants(
        config.name,
        entrants,
        resamples=options.bootstrap,
        confidence=options.confidence,
        budget=budget,
        skipped=skipped,
    )
    drawn = {"ranking": ranking.rows, "budget": ranking.matched}
    write_result(
        context,
        ranking,
        f"ranking-{config.name}",
        lambda: {
            f"{name}_{config.name}": ranking_figure(ranking, rows) for name, rows in drawn.items() if rows
        },
    )
    text = show_result(f"sweep_{config.name}", config.name, ranking)
    runs.log_text(at, run, text, f"ranking_{config.name}.md")
    runs.set_tags(at, run, {f"winner.{config.name}": ranking.winner})
    _describe(at, run, ranking)
    progress.finish(ranking.headline)
    return ranking


def _describe(at: TrackingConfig, run: str, ranking: Ranking) -> None:
    """Put the result of the ranked pipeline into the sweep's description."""
    note = runs.get_run(at, run).data.tags.get(runs.NOTE, "")
    line = f"**{ranking.pipeline}**: {ranking.headline}"
    others = [text for text in note.split("\n\n") if text and not text.startswith(f"**{ranking.pipeline}**:")]
    runs.set_tags(at, run, {runs.NOTE: "\n\n".join([*others, line])})
