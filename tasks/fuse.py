"""Tasks: train the fusion."""

from __future__ import annotations

from pathlib import Path

from components.pipeline.fuse import fuse, joint_encoders, train_jointly
from components.references import Dataset, EncoderWeights, Features, FusedModel, Prepared, Single, Trained
from components.training.loop import BEST
from tasks.context import Context
from tasks.step import gpu_slot, step
from tasks.tracked_training import tracked


@step(name="fuse", task_run_name="train fusion", tags=["training"])
def fuse_task(
    context: Context, dataset: Dataset, features: dict[str, Features], singles: dict[str, Single]
) -> FusedModel:
    """Train fusion and head on cached features."""
    with gpu_slot(context.config.engine):
        steps = fuse(dataset, features, singles, context.config, context.cache / "trainings")
        trained = tracked(context, "fusion", steps, context.config.training.epochs, kind="fusion")
    return FusedModel(features, str(Path(trained.folder) / BEST), "", trained, joint=False)


@step(name="train jointly", task_run_name="train encoders and fusion jointly", tags=["training"])
def joint_task(
    context: Context,
    dataset: Dataset,
    prepared: dict[str, Prepared],
    features: dict[str, Features],
    singles: dict[str, Single],
    start: FusedModel | None,
    pretrained: Trained | None = None,
) -> tuple[Trained, dict[str, EncoderWeights]]:
    """Train encoders, fusion and head together, from nothing or from a staged training."""
    config = context.config
    begin = None if start is None else start.training
    with gpu_slot(context.config.engine):
        steps = train_jointly(
            dataset, prepared, features, singles, config, context.cache / "trainings", begin, pretrained
        )
        epochs = config.training.epochs if start is None else config.joint_epochs
        trained = tracked(context, "joint", steps, epochs, kind="fusion")
    return trained, joint_encoders(trained, prepared, config)
