"""Flow ``distill``: a model with all inputs teaches students with fewer or smaller ones."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from prefect import flow
from prefect.futures import PrefectFuture

from components.config.distill import Plan, load_distill
from components.config.forms import DistillChanges
from components.data.tasks import measured_targets, with_regression
from components.distillation.results import DistillationResult
from components.distillation.setup import DistillationSetup
from components.engine.cluster import running
from components.pipeline.learners import learners_of
from components.references import Dataset, TeacherPredictions
from flows.run.lifecycle import open_run
from flows.workers.pool import WORKERS, run_name, workers
from tasks.context import Context
from tasks.data import ingest_task, preprocess_task
from tasks.distill import compare_task, register_task
from tasks.learn import Learned, learn_task
from tasks.promote import Registered
from tasks.teach import teach_task


@dataclass(frozen=True)
class Distilled:
    """Result of a finished run.

    Attributes:
        key: Key of the run.
        mlflow_run: Id of the parent run.
        result: Gains of all students.
        registered: Registered model of each student; empty where they are not registered.
        answered: Rows that the teacher has predicted now.
    """

    key: str
    mlflow_run: str
    result: DistillationResult
    registered: dict[str, Registered]
    answered: int


@flow(
    name="distill",
    flow_run_name=run_name,
    task_runner=workers(WORKERS),  # type: ignore[arg-type]  # futures are invariant in prefect's types
)
def distill(
    config: Path,
    changes: DistillChanges = DistillChanges(),  # noqa: B008  (immutable, and the form shows its fields)
    overrides: tuple[str, ...] = (),
    workspace: Path = Path(".braid"),
    tracking_file: Path = Path("mlflow.yaml"),
) -> Distilled:
    """Train students alone and with a teacher's help, and measure what the help is worth.

    Args:
        config: Distill file.
        changes: Common changes of the file; an empty field keeps the value of the file.
        overrides: Other options that differ from the file, each ``section.option=value``.
        workspace: Folder of caches and runs, and MLflow's database by default.
        tracking_file: mlflow.yaml.
    """
    plan = load_distill(config, [*changes.overrides(), *overrides])
    root = workspace.resolve()
    measured = measured_targets(plan.pipeline, root / "data" / plan.pipeline.name, plan.path.resolve().parent)
    plan = plan.changed(partial(with_regression, columns=measured))
    facts = {
        "distill": plan.file.model_dump(mode="json"),
        "students": {name: student.model_dump(mode="json") for name, student in plan.students.items()},
    }
    engines = [plan.pipeline.engine, *(student.engine for student in plan.students.values())]
    with running(*engines), open_run(plan.path, plan.pipeline, root, tracking_file, "distill", facts) as run:
        dataset = ingest_task.submit(run).result()
        inputs = {name: list(student.inputs) for name, student in plan.students.items()}
        teacher = teach_task.submit(run, dataset, plan.file.teacher, plan.path, inputs).result()
        learning = {name: _learn(run, dataset, teacher, plan, name) for name in plan.students}
        learned = {name: [future.result() for future in futures] for name, futures in learning.items()}
        compared = compare_task.submit(run, dataset, teacher, learned)
        registered: dict[str, Registered] = {}
        if plan.file.register_students:
            for name, trainings in learned.items():
                registered[name] = register_task.submit(run, dataset, trainings, name).result()
        gains = compared.result().read()
        return Distilled(run.key, run.mlflow_run, gains, registered, teacher.answered)


def _learn(
    run: Context, dataset: Dataset, teacher: TeacherPredictions, plan: Plan, student: str
) -> list[PrefectFuture[Learned]]:
    """Train each seed of a student, alone and with the teacher."""
    config = plan.students[student]
    own = replace(run, config=config)
    learners = learners_of(config, dataset)
    prepared = {each.input: preprocess_task.submit(own, dataset, each) for each in learners}
    learning = []
    for seed in plan.file.seeds:
        for distillation, kind in (
            (None, "alone"),
            (DistillationSetup(teacher, plan.objective(student)), "with teacher"),
        ):
            part = f"{student} seed {seed} {kind}"
            subfolder = f"students/{part.replace(' ', '-')}"
            seeded = replace(own, config=config.model_copy(update={"seed": seed}), subfolder=subfolder)
            learning.append(learn_task.submit(seeded, dataset, prepared, distillation, student, part))
    return learning
