"""Tasks: what the teacher's help came to, and the students' place in the registry."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from components.data.parts import independent_parts
from components.data.samples import open_samples_table
from components.distillation.expectation import expectations
from components.distillation.figures import gains
from components.distillation.results import Arm, DistillationResult, StudentEvaluator
from components.distillation.teacher import open_predictions
from components.inference.predictor import predictions_of
from components.pipeline.fuse import training_prior
from components.references import Dataset, TeacherPredictions
from components.results import markdown
from components.seeding import seed_of
from components.targets import known_rows, rank
from tasks.artifacts import Written, show_result, write_result
from tasks.context import Context
from tasks.learn import Learned
from tasks.progress import Progress
from tasks.promote import Registered, promote_task
from tasks.step import step
from tasks.tracking import runs


@step(name="compare", task_run_name="with teacher against alone", tags=["evaluation"])
def compare_task(
    context: Context,
    dataset: Dataset,
    teacher: TeacherPredictions,
    learned: dict[str, list[Learned]],
) -> Written[DistillationResult]:
    """Measure each student's gain.

    Args:
        context: The run.
        dataset: Reference to the samples.
        teacher: Predictions of the teacher.
        learned: Trainings of each student.
    """
    at, run = context.tracking, context.mlflow_run
    progress = Progress(context, "compare")
    result = _compare(context, dataset, teacher, learned)
    helps = {f"teacher_helps_{student.name}": student.verdict for student in result.students}
    runs.set_tags(at, run, {**helps, runs.NOTE: "\n\n".join(map(markdown.plain, result.findings))})
    written = write_result(context, result, "distillation", lambda: {"distillation": gains(result)})
    show_result("distillation_summary", context.key, result)
    progress.finish(result.headline)
    return written


@step(name="register student", task_run_name="register {student}", tags=["registry"])
def register_task(context: Context, dataset: Dataset, learned: list[Learned], student: str) -> Registered:
    """Register the training of a student that is best on validation, with or without the teacher."""
    best = max(learned, key=lambda each: _rank(each, context.config.target.metric))
    registered = promote_task.fn(best.context, dataset, best.evaluated)
    tags = {"registered_as": f"{registered.version.name}/{registered.version.version}"}
    runs.set_tags(context.tracking, best.context.mlflow_run, tags)
    runs.end_run(context.tracking, best.context.mlflow_run, "FINISHED")
    return registered


def _compare(
    context: Context,
    dataset: Dataset,
    teacher: TeacherPredictions,
    learned: Mapping[str, Sequence[Learned]],
) -> DistillationResult:
    config, target = context.config, dataset.targets.primary
    table, names = open_samples_table(dataset), list(config.inputs)
    samples = table.split("test", names)
    values = dataset.targets.encode(samples)[target.name]
    known = known_rows(values).numpy()
    natural, _, _ = open_predictions(dataset, samples, teacher)
    natural = torch.where(natural.isnan(), training_prior(dataset), natural).double()
    settings = config.evaluation
    evaluator = StudentEvaluator(
        target,
        values.numpy()[known],
        target.metric,
        settings.bootstrap,
        settings.confidence,
        seed_of(config.seed, "bootstrap"),
        independent_parts(table, samples, names)[known],
    )

    def arm(each: Learned) -> Arm:
        frame = pd.read_parquet(each.evaluated.predictions)
        predictions = predictions_of(target, frame, several=len(dataset.targets) > 1)[known]
        evaluation = each.evaluated.read()
        return Arm(each.context.config.seed, evaluation.delivered.validation[evaluation.metric], predictions)

    students, inputs = [], {}
    for name, all_arms in learned.items():
        alone, with_teacher = (
            sorted((arm(each) for each in all_arms if each.with_teacher is kind), key=lambda arm: arm.seed)
            for kind in (False, True)
        )
        parameters = all_arms[0].training.parameters
        inputs[name] = tuple(all_arms[0].context.config.inputs)
        students.append(evaluator.student(name, inputs[name], parameters, alone, with_teacher))
    answers = target.predict(natural[:, dataset.targets.slices[target.name]]).numpy()[known]
    return DistillationResult(
        target=target.name,
        metric=target.metric,
        confidence=settings.confidence,
        resamples=settings.bootstrap,
        rows=int(known.sum()),
        teacher_name=runs.get_run(context.tracking, context.mlflow_run).data.tags.get("teacher", ""),
        teacher_inputs=teacher.uses,
        teacher=evaluator.interval(answers),
        students=tuple(students),
        expectations=expectations(dataset, Path(teacher.teacher), inputs),
        in_sample=teacher.training - teacher.out_of_fold,
    )


def _rank(learned: Learned, metric: str) -> tuple[float, float]:
    validation = learned.evaluated.read().delivered.validation
    return rank(metric, validation[metric], validation["log_loss"])
