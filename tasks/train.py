"""Tasks that train: one input on its own, the fusion, the projections for search."""

from components.models.encoders import needs_fit
from components.references import Dataset, EncoderWeights, Features, FusedModel, Prepared, Single, Trained
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracked_training import TrackedSteps


@step(name="pretrain", task_run_name="align encoders before their fits", tags=["training"])
def pretrain_task(context: Context, dataset: Dataset, prepared: dict[str, Prepared]) -> Trained:
    """Train encoders from scratch across modalities."""
    with gpu_slot(context, context.config.engine):
        return TrackedSteps(context).pretrain(dataset, prepared)


@step(name="fit", task_run_name="fit {name}", tags=["training"])
def fit_task(
    context: Context, dataset: Dataset, prepared: Prepared, name: str, pretrained: Trained | None = None
) -> Single | EncoderWeights:
    """Train the input's encoder with a head of its own; a frozen encoder is taken as it is."""
    steps = TrackedSteps(context)
    if needs_fit(context.config.inputs[name].encoder):
        with gpu_slot(context, context.config.engine):
            return steps.fit(dataset, prepared, name, pretrained)
    progress = Progress(context, f"fit {name}")
    weights = steps.fit(dataset, prepared, name, pretrained)
    progress.finish("pretrained and frozen: nothing to fit")
    return weights


@step(name="probe", task_run_name="probe {name}", tags=["training"])
def probe_task(context: Context, dataset: Dataset, features: Features, name: str) -> Single:
    """Fit a linear head to the features of a frozen encoder."""
    progress = Progress(context, f"probe {name}")
    single = TrackedSteps(context).probe(dataset, features, name)
    progress.finish("linear head fitted")
    return single


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


@step(name="align", task_run_name="align", tags=["training"])
def align_task(context: Context, dataset: Dataset, fused: FusedModel) -> Trained:
    """Train the projections that search goes by, on the features that the fusion takes."""
    with gpu_slot(context, context.config.engine):
        return TrackedSteps(context).align(dataset, fused)
