"""Tasks that train: one input on its own, the fusion, the projections for search."""

from typing import Any

from components.models.encoders import needs_fit
from components.pipeline.combine import Fitted, headline
from components.pipeline.fuse import shares_of
from components.references import (
    Combined,
    Dataset,
    EncoderWeights,
    Features,
    FusedModel,
    Learner,
    OutOfFold,
    Prepared,
    Refit,
    Single,
    Trained,
    Worth,
)
from components.training.folds import Fold, named
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracked_training import TrackedSteps


def _fit_name(parameters: dict[str, Any]) -> str:
    return f"fit {_named(parameters['learner'].label, parameters)}"


def _probe_name(parameters: dict[str, Any]) -> str:
    return f"probe {_named(parameters['learner'].label, parameters)}"


def _fuse_name(parameters: dict[str, Any]) -> str:
    return f"train {_named('fusion', parameters)}"


def _named(part: str, parameters: dict[str, Any]) -> str:
    return named(part, parameters["fold"], parameters["whole"])


@step(name="pretrain", task_run_name="align encoders before their fits", tags=["training"])
def pretrain_task(context: Context, dataset: Dataset, prepared: dict[str, Prepared]) -> Trained:
    """Train encoders from scratch across modalities."""
    with gpu_slot(context, context.config.engine):
        return TrackedSteps(context).pretrain(dataset, prepared)


@step(name="fit", task_run_name=_fit_name, tags=["training"])
def fit_task(
    context: Context,
    dataset: Dataset,
    prepared: Prepared,
    learner: Learner,
    pretrained: Trained | None = None,
    fold: Fold | None = None,
    whole: Single | None = None,
) -> Single | EncoderWeights:
    """Train an encoder of an input with a head of its own; a frozen encoder is taken as it is."""
    steps = TrackedSteps(context)
    if needs_fit(learner.options):
        with gpu_slot(context, context.config.engine):
            return steps.fit(dataset, prepared, learner, pretrained, fold, whole)
    progress = Progress(context, f"fit {learner}")
    weights = steps.fit(dataset, prepared, learner, pretrained)
    progress.finish("nothing to train: its head is fitted to its features")
    return weights


@step(name="probe", task_run_name=_probe_name, tags=["training"])
def probe_task(
    context: Context,
    dataset: Dataset,
    features: Features,
    learner: Learner,
    fold: Fold | None = None,
    whole: Single | None = None,
) -> Single:
    """Fit a linear head to the features of a frozen encoder."""
    progress = Progress(context, f"probe {named(learner.label, fold, whole)}")
    single = TrackedSteps(context).probe(dataset, features, learner, fold, whole)
    progress.finish("linear head fitted")
    return single


@step(name="cross-fit", task_run_name="cross-fit {learner}", tags=["features"])
def cross_fit_task(
    context: Context,
    dataset: Dataset,
    prepared: Prepared,
    features: Features,
    fits: list[Single],
    learner: Learner,
) -> OutOfFold:
    """Embed and predict each training row of an input by the fit that has not seen it."""
    progress = Progress(context, f"cross-fit {learner}")
    with gpu_slot(context, context.config.engine):
        unseen = TrackedSteps(context).cross_fit(dataset, prepared, features, fits, learner)
    progress.finish(f"training rows embedded by {len(fits)} fits that have not seen them")
    return unseen


@step(name="worth", task_run_name="worth of the inputs", tags=["features"])
def worth_task(
    context: Context,
    dataset: Dataset,
    features: dict[str, Features],
    singles: dict[str, Single],
    unseen: dict[str, OutOfFold],
) -> dict[str, Worth]:
    """Measure what each input says by itself and adds to the others."""
    progress = Progress(context, "worth")
    worths = TrackedSteps(context).worth(dataset, features, singles, unseen)
    idle = [name for name, worth in worths.items() if not worth.adds]
    progress.finish(f"nothing is added by {', '.join(idle)}" if idle else "every input may add something")
    return worths


def _combine_name(parameters: dict[str, Any]) -> str:
    return f"combine {parameters['fitted'][0].learner.input}"


@step(name="combine", task_run_name=_combine_name, tags=["features"])
def combine_task(context: Context, dataset: Dataset, fitted: list[Fitted]) -> Combined:
    """Weigh the learners of an input out of fold, and put those with weight together."""
    progress = Progress(context, f"combine {fitted[0].learner.input}")
    combined = TrackedSteps(context).combine(dataset, fitted)
    progress.finish(headline(combined.single.learners))
    return combined


def _refit_name(parameters: dict[str, Any]) -> str:
    return f"refit {parameters['prepared'].input}, with validation rows"


@step(name="refit", task_run_name=_refit_name, tags=["training"])
def refit_task(
    context: Context, dataset: Dataset, prepared: Prepared, single: Single, fitted: list[Fitted]
) -> Refit:
    """Fit the learners of an input again to training and validation rows."""
    progress = Progress(context, f"refit {prepared.input}")
    with gpu_slot(context, context.config.engine):
        refit = TrackedSteps(context).refit(dataset, prepared, single, fitted)
    progress.finish("fitted to training and validation rows")
    return refit


@step(name="fuse", task_run_name=_fuse_name, tags=["training"])
def fuse_task(
    context: Context,
    dataset: Dataset,
    features: dict[str, Features],
    singles: dict[str, Single],
    unseen: dict[str, OutOfFold],
    fold: Fold | None = None,
    whole: FusedModel | None = None,
) -> FusedModel:
    """Train fusion and head on cached features, without the rows of a fold or with validation rows too."""
    with gpu_slot(context, context.config.engine):
        return TrackedSteps(context).fuse(dataset, features, singles, unseen, fold, whole)


def _boost_name(parameters: dict[str, Any]) -> str:
    return f"train {_named('trees', parameters)}"


@step(name="boost", task_run_name=_boost_name, tags=["training"])
def boost_task(
    context: Context,
    dataset: Dataset,
    features: dict[str, Features],
    singles: dict[str, Single],
    unseen: dict[str, OutOfFold],
    fold: Fold | None = None,
    whole: FusedModel | None = None,
) -> FusedModel:
    """Fit trees over all inputs beside the fusion; rows as of the fusion."""
    trees = TrackedSteps(context).boost(dataset, features, singles, unseen, fold, whole)
    if whole is None:
        shares = sorted(shares_of(trees).items(), key=lambda each: -each[1])
        parts = ", ".join(f"{name} {share:.0%}" for name, share in shares)
        Progress(context, "trees").finish(f"gain by input: {parts}")
    return trees


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
