"""Task: train a student once, alone or with its teacher, and judge it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from components.distillation.setup import Lesson
from components.evaluation.results import Judged
from components.pipeline.follow import follow
from components.pipeline.plain import PlainSteps
from components.pipeline.run import train
from components.references import Dataset, EncoderWeights, Features, Prepared, Single, Trained
from components.storage.atomic import replacing, write_bytes
from components.training.checkpoint import Epoch
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracked_training import Result, tracked
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
    steps = StudentSteps(context, dataset, prepared, lesson, part)
    with gpu_slot(config.engine):
        parts = train(steps, config)
    judgement = steps.evaluate(dataset, prepared, parts.singles, parts.features, parts.fused, None)
    only, *_ = parts.singles.values()
    training = only.training if parts.fused is None else parts.fused.training
    assert training is not None
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


class StudentSteps(PlainSteps):
    """The steps of a student, on samples that all of its trainings share.

    The training that the teacher helps with is followed as a student's; fits before it report their progress.

    Args:
        context: The run, with the student's pipeline and its place.
        dataset: Reference to the samples.
        prepared: Canonical samples by input.
        lesson: Help of the teacher; None trains the student alone.
        part: Name of this training.
    """

    def __init__(
        self,
        context: Context,
        dataset: Dataset,
        prepared: dict[str, Prepared],
        lesson: Lesson | None,
        part: str,
    ) -> None:
        bundle = str(context.bundle)
        super().__init__(context.config, context.workspace, context.base, bundle=bundle, lesson=lesson)
        self.context, self.dataset, self.prepared, self.part = context, dataset, prepared, part

    def ingest(self) -> Dataset:
        return self.dataset

    def preprocess(self, dataset: Dataset, name: str) -> Prepared:
        return self.prepared[name]

    def fit(
        self, dataset: Dataset, prepared: Prepared, name: str, pretrained: Trained | None
    ) -> Single | EncoderWeights:
        if len(self.config.inputs) > 1:
            return super().fit(dataset, prepared, name, pretrained)
        # Even above a frozen encoder, because a teacher cannot help with a probe.
        self._only = self.train_input(dataset, prepared, name)
        return self._only

    def probe(self, dataset: Dataset, features: Features, name: str) -> Single:
        return super().probe(dataset, features, name) if len(self.config.inputs) > 1 else self._only

    def follow(self, part: str, training: Generator[Epoch, None, Result], epochs: int) -> Result:
        if part == "fusion" or len(self.config.inputs) == 1:
            return tracked(self.context, self.part, training, epochs, "student", facts=self._facts())
        progress = Progress(self.context, f"fit {self.part} {part}")
        result = follow(training, lambda epoch: progress(epoch.epoch + 1, epochs))
        progress.finish("fitted")
        return result

    def _facts(self) -> dict[str, object]:
        """Parameters of the nested run."""
        facts = self.config.model_dump(mode="json", include={"inputs", "fusion", "training"})
        if self.lesson is None:
            return facts
        return {**facts, "objective": self.lesson.objective.model_dump(mode="json")}
