"""A training as people follow it: epoch by epoch in MLflow, in the dashboard and on the terminal."""

from collections.abc import Generator, Mapping
from typing import Any, TypeVar

from components.errors import OutOfTimeError
from components.objectives import Pairwise
from components.pipeline.follow import follow
from components.pipeline.plain import PlainSteps
from components.references import Learner, Single, Trained
from components.training.checkpoint import Epoch, read_history
from tasks.context import Context
from tasks.progress import Progress
from tasks.tracking import runs

Result = TypeVar("Result", Single, Trained)


class TrackedSteps(PlainSteps):
    """The steps of a run, whose trainings people can follow.

    Args:
        context: The run.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context.config, context.workspace, context.base, bundle=str(context.bundle))
        self.context = context

    def follow(
        self,
        part: str,
        training: Generator[Epoch, None, Result],
        epochs: int,
        learner: Learner | None = None,
    ) -> Result:
        if learner is not None:
            facts = self.with_learner(learner).inputs[learner.input].model_dump(mode="json")
            return tracked(self.context, part, training, epochs, "single", facts=facts)
        if part in ("fusion", "trees", "joint"):
            return tracked(self.context, part, training, epochs, "fusion")
        if part in ("alignment", "pretraining"):
            return tracked(self.context, part, training, epochs, "alignment", Pairwise.metric)
        return shown(self.context, f"fit {part}", training, epochs)  # of a fold


def shown(context: Context, step: str, training: Generator[Epoch, None, Result], epochs: int) -> Result:
    """Run a training that has no nested run of its own, and show its progress.

    Args:
        context: The run.
        step: Name of the step.
        training: Yields the epochs.
        epochs: The most that there can be.
    """
    progress = Progress(context, step)
    result = follow(training, lambda epoch: progress(epoch.epoch + 1, epochs))
    progress.finish("fitted")
    return result


def tracked(
    context: Context,
    part: str,
    steps: Generator[Epoch, None, Result],
    epochs: int,
    kind: str,
    metric: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Result:
    """Run a training to its end in a nested MLflow run of its own.

    Args:
        context: The run.
        part: What is trained: a learner, ``fusion``, ``trees``, ``joint``, ``alignment`` or ``pretraining``.
        steps: The training.
        epochs: At most so many.
        kind: ``single``, ``fusion``, ``alignment`` or ``student``, as a tag.
        metric: Of the objective; None is that of the primary target.
        facts: Parameters of the nested run besides the pipeline's.
    """
    config, at = context.config, context.tracking
    progress = Progress(context, f"fit {part}")
    tags = {"config": config.name, "kind": kind}
    if kind in ("fusion", "student") and part != "trees" and len(config.inputs) > 1:
        tags["fusion"] = config.fusion.name
    run = runs.nested_run(at, context.mlflow_run, part, tags)
    runs.log_params(at, run, {**config.model_dump(mode="json"), **(facts or {})})
    metric = metric or config.target.metric

    def tell(epoch: Epoch) -> None:
        runs.log_epoch(at, run, epoch, metric)
        losses = f"train loss {epoch.train_loss:.3f}, val loss {epoch.val_loss:.3f}"
        progress(epoch.epoch + 1, epochs, f"{losses}, val {metric} {epoch.metric:.3f}")

    try:
        result = follow(steps, tell)
    except OutOfTimeError as error:
        runs.set_tags(at, run, {runs.NOTE: f"{part}: left out, as {error}"})
        runs.end_run(at, run, "KILLED")
        raise
    trained = result.training if isinstance(result, Single) else result
    assert trained is not None
    history = read_history(trained.folder)
    values = {
        f"val_{metric}": trained.metric,
        "val_loss": history[trained.best_epoch].val_loss,
        f"best_val_{metric}": trained.metric,
        "best_epoch": trained.best_epoch,
        "epochs": trained.epochs,
        "parameters": trained.parameters,
        "seconds": sum(epoch.seconds for epoch in history),
    }
    runs.log_final(at, run, values, trained.epochs)
    outcome = f"best val {metric} {trained.metric:.3f} in epoch {trained.best_epoch + 1} of {trained.epochs}"
    outcome += "" if trained.is_complete else ", then out of time"
    runs.set_tags(at, run, {runs.NOTE: f"{part}: {outcome}"})
    runs.end_run(at, run, "FINISHED")
    progress.finish(outcome)
    return result
