"""Tasks: one input on its own."""

from components.models.encoders import needs_fit
from components.references import Dataset, EncoderWeights, Features, Prepared, Single, Trained
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracked_training import TrackedSteps


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
