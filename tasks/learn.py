"""Task: train a student once, alone or with its teacher, and judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from components.distillation.setup import Lesson
from components.evaluation.results import Judged
from components.models.encoders import needs_fit
from components.pipeline.evaluate import judge
from components.pipeline.extract import extract
from components.pipeline.fit import fit, probe, take_frozen
from components.pipeline.follow import follow
from components.pipeline.fuse import fuse
from components.pipeline.package import deliver
from components.references import Dataset, EncoderWeights, Features, FusedModel, Prepared, Single, Trained
from components.storage.atomic import replacing, write_bytes
from components.training.loop import BEST
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracked_training import tracked
from tasks.tracking import runs


@dataclass(frozen=True)
class Learned:
    """One training of a student.

    Attributes:
        context: Its own: pipeline with its seed, place of its bundle, nested MLflow run.
        student: Name.
        with_teacher: Whether it was taught.
        evaluated: How it was judged.
        training: Of the encoder, or of the fusion where there are several inputs.
    """

    context: Context
    student: str
    with_teacher: bool
    evaluated: Evaluated
    training: Trained


@step(name="learn", task_run_name="{part}", tags=["training"])
def learn_task(
    context: Context,
    dataset: Dataset,
    prepared: dict[str, Prepared],
    lesson: Lesson | None,
    student: str,
    part: str,
) -> Learned:
    """Train a student from the initial weights that its seed gives, deliver it and judge it on test.

    Args:
        context: The run, with the student's pipeline and its place.
        dataset: Reference to the samples.
        prepared: Canonical samples by input.
        lesson: None trains it alone.
        student: Name.
        part: Name of this training.
    """
    config, at = context.config, context.tracking
    with gpu_slot(context.config.engine):
        if len(config.inputs) == 1:
            singles, features, fused, training = _one(context, dataset, prepared, lesson, part)
        else:
            singles, features, fused, training = _several(context, dataset, prepared, lesson, part)
    validation = deliver(dataset, prepared, singles, features, fused, config, context.bundle)
    judgement = judge(dataset, validation, features, fused, context.bundle, config)
    folder = context.bundle.parent
    result, predictions = folder / "evaluation.json", folder / "predictions.parquet"
    write_bytes(result, Judged(judgement.evaluations).to_json().encode("utf-8", "surrogatepass"))
    with replacing(predictions) as temporary:
        judgement.predictions.to_parquet(temporary, index=False)

    run = runs.nested_run(at, context.mlflow_run, part, {})
    kind = "alone" if lesson is None else "with teacher"
    runs.set_tags(at, run, {"student": student, "teaching": kind})
    runs.log_metrics(at, run, judgement.evaluations[0].metrics())
    for file in (result, predictions):
        runs.log_file(at, run, file)
    runs.end_run(at, run, "FINISHED")
    evaluated = Evaluated(str(result), str(predictions), {part: training.folder})
    return Learned(replace(context, mlflow_run=run), student, lesson is not None, evaluated, training)


Parts = tuple[dict[str, Single], dict[str, Features], FusedModel | None, Trained]


def _one(
    context: Context, dataset: Dataset, prepared: Mapping[str, Prepared], lesson: Lesson | None, part: str
) -> Parts:
    """A student with one input: encoder and head, the teacher's help with both."""
    config = context.config
    ((name, options),) = config.inputs.items()
    steps = fit(dataset, prepared[name], config, context.cache / "trainings", lesson=lesson)
    facts = _facts(context, lesson)
    single = tracked(context, part, steps, options.fit.epochs, "student", facts=facts)
    assert single.training is not None
    features = _extract(context, dataset, prepared[name], single.encoder)
    return {name: single}, {name: features}, None, single.training


def _several(
    context: Context, dataset: Dataset, prepared: Mapping[str, Prepared], lesson: Lesson | None, part: str
) -> Parts:
    """A student with several inputs: fits as they are, the teacher's help with their fusion."""
    config, trainings = context.config, context.cache / "trainings"
    singles, features = {}, {}
    for name, options in config.inputs.items():
        if needs_fit(options.encoder):
            progress = Progress(context, f"fit {part} {name}")
            steps = fit(dataset, prepared[name], config, trainings)
            singles[name] = follow(
                steps,
                lambda epoch, o=options, p=progress: p(epoch.epoch + 1, o.fit.epochs),  # type: ignore[misc]
            )
            features[name] = _extract(context, dataset, prepared[name], singles[name].encoder)
            progress.finish("fitted")
        else:
            features[name] = _extract(context, dataset, prepared[name], take_frozen(prepared[name], config))
            singles[name] = probe(dataset, features[name], trainings)
    fusing = fuse(dataset, features, singles, config, trainings, lesson)
    facts = _facts(context, lesson)
    trained = tracked(context, part, fusing, config.training.epochs, "student", facts=facts)
    fused = FusedModel(features, str(Path(trained.folder) / BEST), "", trained, joint=False)
    return singles, features, fused, trained


def _extract(context: Context, dataset: Dataset, prepared: Prepared, weights: EncoderWeights) -> Features:
    return extract(dataset, prepared, weights, context.config, context.cache / "features")


def _facts(context: Context, lesson: Lesson | None) -> dict[str, object]:
    """Parameters of the nested run."""
    facts = context.config.model_dump(mode="json", include={"inputs", "fusion", "training"})
    return facts if lesson is None else {**facts, "objective": lesson.objective.model_dump(mode="json")}
