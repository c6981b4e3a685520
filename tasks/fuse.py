"""Tasks: train the fusion."""

from components.references import Dataset, EncoderWeights, Features, FusedModel, Prepared, Single, Trained
from tasks.context import Context
from tasks.step import gpu_slot, step
from tasks.tracked_training import TrackedSteps


@step(name="fuse", task_run_name="train fusion", tags=["training"])
def fuse_task(
    context: Context, dataset: Dataset, features: dict[str, Features], singles: dict[str, Single]
) -> FusedModel:
    """Train fusion and head on cached features."""
    with gpu_slot(context, context.config.engine):
        return TrackedSteps(context).fuse(dataset, features, singles)


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
    with gpu_slot(context, context.config.engine):
        return TrackedSteps(context).joint(dataset, prepared, features, singles, start, pretrained)
