"""Tasks: what the teacher's help came to, and the students' place in the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from components.data.samples import read_samples
from components.distillation.figures import gains
from components.distillation.results import Arm, DistillationResult, Judge, StudentResult
from components.distillation.teacher import open_taught
from components.evaluation.intervals import Gain, Interval
from components.inference.predictor import predictions_of
from components.pipeline.fuse import training_prior
from components.references import Dataset, Taught
from components.seeding import seed_of
from components.storage.atomic import write_bytes
from components.targets import known_rows
from components.targets.metrics import rank
from tasks.context import Context
from tasks.learn import Learned
from tasks.progress import Progress
from tasks.promote import Registered, promote_task
from tasks.step import step
from tasks.tracking import runs

_HELPS = {"yes": "helps", "no": "does not help", "unclear": "may or may not help"}


@step(name="compare", task_run_name="with teacher against alone", tags=["evaluation"])
def compare_task(
    context: Context, dataset: Dataset, taught: Taught, learned: dict[str, list[Learned]]
) -> str:
    """Measure each student's gain; give the path of a :class:`DistillationResult` as JSON.

    Args:
        context: The run.
        dataset: Reference to the samples.
        taught: The teacher's answers.
        learned: Trainings of each student.
    """
    at, run = context.tracking, context.mlflow_run
    progress = Progress(context, "compare")
    found = _compare(context, dataset, taught, learned)
    path = context.folder / "distillation.json"
    write_bytes(path, found.to_json().encode())

    runs.log_metrics(at, run, _metrics(found))
    notes = [headline(found, student) for student in found.students]
    helps = {f"teacher_helps_{student.name}": student.verdict for student in found.students}
    runs.set_tags(at, run, {**helps, runs.NOTE: "\n\n".join(notes)})
    runs.log_figures(at, run, {"distillation": gains(found)})
    for name, table in tables(found).items():
        runs.log_table(at, run, table, name)
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        key = name.replace("_", "-")
        create_table_artifact(rows, key=key, description="\n\n".join(notes))  # type: ignore[arg-type]
    runs.log_file(at, run, path)
    create_markdown_artifact(_markdown(context, found), key="distillation-summary")
    progress.finish("; ".join(f"{s.name}: {_signed(s.over_rows)}" for s in found.students))
    return str(path)


@step(name="register student", task_run_name="register {student}", tags=["registry"])
def register_task(context: Context, dataset: Dataset, learned: list[Learned], student: str) -> Registered:
    """Register the training of a student that did best on validation, taught or not, as every model is."""
    best = max(learned, key=lambda each: _rank(each, context.config.target.metric))
    registered = promote_task.fn(best.context, dataset, best.evaluated)
    tags = {"registered_as": f"{registered.version.name}/{registered.version.version}"}
    runs.set_tags(context.tracking, best.context.mlflow_run, tags)
    runs.end_run(context.tracking, best.context.mlflow_run, "FINISHED")
    return registered


def headline(found: DistillationResult, student: StudentResult) -> str:
    """A student's result in one line."""
    return (
        f"{student.name}: the teacher {_HELPS[student.verdict]}: test {found.metric} "
        f"{student.taught:.3f} with it, {student.alone:.3f} alone, "
        f"gain {_signed(student.over_rows)} over rows"
        + (f", {_signed(student.over_seeds)} over seeds" if len(student.seeds) > 1 else "")
    )


def tables(found: DistillationResult) -> dict[str, pd.DataFrame]:
    """The students, and each of their seeds."""
    metric = found.metric
    students = [
        {
            "student": student.name,
            "inputs": " + ".join(student.inputs),
            "parameters": student.parameters,
            f"{metric} alone": student.alone,
            f"{metric} with teacher": student.taught,
            "gain": student.over_rows.value,
            "low (rows)": student.over_rows.low,
            "high (rows)": student.over_rows.high,
            "low (seeds)": student.over_seeds.low,
            "high (seeds)": student.over_seeds.high,
            "helps": student.verdict,
            f"{metric} of the teacher": found.teacher.value,
        }
        for student in found.students
    ]
    seeds = [
        {
            "student": student.name,
            "seed": seed.seed,
            f"val {metric} alone": seed.alone_validation,
            f"val {metric} with teacher": seed.taught_validation,
            f"test {metric} alone": seed.alone.value,
            f"test {metric} with teacher": seed.taught.value,
            "gain": seed.gain.value,
            "low": seed.gain.low,
            "high": seed.gain.high,
        }
        for student in found.students
        for seed in student.seeds
    ]
    return {
        "distillation": pd.DataFrame(students).round(4),
        "distillation_seeds": pd.DataFrame(seeds).round(4),
    }


def _compare(
    context: Context, dataset: Dataset, taught: Taught, learned: Mapping[str, Sequence[Learned]]
) -> DistillationResult:
    config, target = context.config, dataset.targets.primary
    samples = read_samples(dataset)
    samples = samples[samples["split"] == "test"]
    values = dataset.targets.encode(samples)[target.name]
    known = known_rows(values).numpy()
    natural, _, _ = open_taught(dataset, samples, taught)
    natural = torch.where(natural.isnan(), training_prior(dataset), natural).double()
    settings = config.evaluation
    judge = Judge(
        target,
        values.numpy()[known],
        target.metric,
        settings.bootstrap,
        settings.confidence,
        seed_of(config.seed, "bootstrap"),
    )

    def arm(each: Learned) -> Arm:
        frame = pd.read_parquet(each.evaluated.predictions)
        predictions = predictions_of(target, frame, several=len(dataset.targets) > 1)[known]
        evaluation = each.evaluated.read()
        return Arm(each.context.config.seed, evaluation.delivered.validation[evaluation.metric], predictions)

    students = []
    for name, all_arms in learned.items():
        alone, with_teacher = (
            sorted((arm(each) for each in all_arms if each.with_teacher is kind), key=lambda arm: arm.seed)
            for kind in (False, True)
        )
        parameters = all_arms[0].training.parameters
        inputs = tuple(all_arms[0].context.config.inputs)
        students.append(judge.student(name, inputs, parameters, alone, with_teacher))
    answers = target.predict(natural[:, dataset.targets.slices[target.name]]).numpy()[known]
    return DistillationResult(
        target=target.name,
        metric=target.metric,
        confidence=settings.confidence,
        resamples=settings.bootstrap,
        rows=int(known.sum()),
        teacher_name=runs.get_run(context.tracking, context.mlflow_run).data.tags.get("teacher", ""),
        teacher_inputs=taught.uses,
        teacher=judge.interval(answers),
        students=tuple(students),
    )


def _rank(learned: Learned, metric: str) -> tuple[float, float]:
    validation = learned.evaluated.read().delivered.validation
    return rank(metric, validation[metric], validation["log_loss"])


def _metrics(found: DistillationResult) -> dict[str, float]:
    """Flat metrics: ``text_gain``, ``text_gain_low`` over rows, ``text_gain_seeds_low``, ..."""
    values = {f"teacher_test_{found.metric}": found.teacher.value}
    for student in found.students:
        name = student.name
        values |= {
            f"{name}_alone_test_{found.metric}": student.alone,
            f"{name}_with_teacher_test_{found.metric}": student.taught,
            f"{name}_gain": student.over_rows.value,
            f"{name}_gain_low": student.over_rows.low,
            f"{name}_gain_high": student.over_rows.high,
            f"{name}_gain_seeds_low": student.over_seeds.low,
            f"{name}_gain_seeds_high": student.over_seeds.high,
        }
    return {name: value for name, value in values.items() if value == value}  # not those that are not defined


def _markdown(context: Context, found: DistillationResult) -> str:
    frame = tables(found)["distillation"]
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    level = f"{found.confidence:.0%}"
    return "\n\n".join(
        [
            f"# {context.key}",
            *(f"- {headline(found, student)}" for student in found.students),
            "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows),
            f"Teacher: {' + '.join(found.teacher_inputs)}, test {found.metric} {found.teacher.value:.3f}. "
            f"All on the same {found.rows} test rows. Two {level} intervals of the mean gain over the seeds: "
            f"over rows, the paired bootstrap ({found.resamples} resamples) for these trained models; over "
            "seeds, Student's t for these rows. 'yes' needs both above 0. The teacher was fitted to the rows "
            "that the students learned from; test rows are new to both.",
        ]
    )


def _signed(gain: Gain | Interval) -> str:
    return f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
