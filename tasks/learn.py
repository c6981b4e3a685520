"""Task: train a student once, alone or with its teacher, and evaluate it."""

from collections.abc import Generator
from dataclasses import dataclass, replace

from components.distillation.setup import DistillationSetup
from components.evaluation.results import Evaluations
from components.pipeline.plain import PlainSteps
from components.pipeline.run import train
from components.references import Dataset, EncoderWeights, Features, Learner, Prepared, Single, Trained
from components.storage.atomic import replacing, write_bytes
from components.training.checkpoint import Epoch
from components.training.folds import Fold
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.step import gpu_slot, step
from tasks.tracked_training import Result, shown, tracked
from tasks.tracking import runs


@dataclass(frozen=True)
class Learned:
    """One training of a student.

    Attributes:
        context: Pipeline with its seed, folder of its bundle, nested MLflow run.
        student: Name of the student.
        with_teacher: True for the training with the teacher.
        evaluated: Evaluation of the student.
        training: Training of the encoder, or of the fusion of several inputs.
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
    distillation: DistillationSetup | None,
    student: str,
    part: str,
) -> Learned:
    """Train a student from the initial weights that its seed gives, package it and evaluate it on test.

    Args:
        context: The run, with the pipeline and subfolder of the student.
        dataset: Reference to the samples.
        prepared: Canonical samples by input.
        distillation: Help of the teacher; None trains the student alone.
        student: Name of the student.
        part: Name of this training.
    """
    # Students are compared as they were stopped: a teacher must not teach what it knows of validation rows.
    without_refit = context.config.training.model_copy(update={"refit": "none"})
    context = replace(context, config=context.config.model_copy(update={"training": without_refit}))
    config, at = context.config, context.tracking
    steps = StudentSteps(context, prepared, distillation, part)
    with gpu_slot(context, config.engine):
        parts = train(steps, config, dataset)
    model_evaluation = steps.evaluate(
        dataset,
        prepared,
        parts.singles,
        parts.features,
        parts.unseen,
        parts.fused,
        parts.fused_folds,
        parts.trees,
        None,
    )
    only, *_ = parts.singles.values()
    training = only.training if parts.fused is None else parts.fused.training
    assert training is not None
    folder = context.bundle.parent
    result, predictions = folder / "evaluation.json", folder / "predictions.parquet"
    write_bytes(result, Evaluations(model_evaluation.evaluations).to_json().encode("utf-8", "surrogatepass"))
    with replacing(predictions) as temporary:
        model_evaluation.predictions.to_parquet(temporary, index=False)

    run = runs.nested_run(at, context.mlflow_run, part, {})
    kind = "alone" if distillation is None else "with teacher"
    runs.set_tags(at, run, {"student": student, "teaching": kind})
    runs.log_metrics(at, run, model_evaluation.evaluations[0].metrics())
    for file in (result, predictions):
        runs.log_file(at, run, file)
    runs.end_run(at, run, "FINISHED")
    evaluated = Evaluated(str(result), str(predictions), {part: training.folder})
    return Learned(replace(context, mlflow_run=run), student, distillation is not None, evaluated, training)


class StudentSteps(PlainSteps):
    """The steps of a student, on samples that all of its trainings share.

    The training that the teacher helps with is followed as a student's; fits before it report their progress.

    Args:
        context: The run, with the pipeline and subfolder of the student.
        prepared: Canonical samples by input.
        distillation: Help of the teacher; None trains the student alone.
        part: Name of this training.
    """

    def __init__(
        self,
        context: Context,
        prepared: dict[str, Prepared],
        distillation: DistillationSetup | None,
        part: str,
    ) -> None:
        bundle = str(context.bundle)
        super().__init__(
            context.config, context.workspace, context.base, bundle=bundle, distillation=distillation
        )
        self.context, self.prepared, self.part = context, prepared, part

    def preprocess(self, dataset: Dataset, learner: Learner) -> Prepared:
        return self.prepared[learner.input]

    def fit(
        self,
        dataset: Dataset,
        prepared: Prepared,
        learner: Learner,
        pretrained: Trained | None,
        fold: Fold | None = None,
        whole: Single | None = None,
    ) -> Single | EncoderWeights:
        if len(self.config.inputs) > 1:
            return super().fit(dataset, prepared, learner, pretrained, fold, whole)
        # Even above a frozen encoder, because a teacher cannot help with a probe.
        self._only = self.train_input(dataset, prepared, learner)
        return self._only

    def probe(
        self,
        dataset: Dataset,
        features: Features,
        learner: Learner,
        fold: Fold | None = None,
        whole: Single | None = None,
    ) -> Single:
        if len(self.config.inputs) == 1:
            return self._only
        return super().probe(dataset, features, learner, fold, whole)

    def follow(
        self,
        part: str,
        training: Generator[Epoch, None, Result],
        epochs: int,
        learner: Learner | None = None,
    ) -> Result:
        if part == "fusion" or len(self.config.inputs) == 1:
            return tracked(self.context, self.part, training, epochs, "student", facts=self._facts())
        return shown(self.context, f"fit {self.part} {part}", training, epochs)

    def _facts(self) -> dict[str, object]:
        """Parameters of the nested run."""
        facts = self.config.model_dump(mode="json", include={"inputs", "fusion", "training"})
        if self.distillation is None:
            return facts
        return {**facts, "objective": self.distillation.objective.model_dump(mode="json")}
