"""Flow ``retrain``: a manifest to a registered, evaluated model."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from prefect import flow
from prefect.states import Completed

from components.config import load_pipeline
from components.config.forms import RetrainChanges
from components.config.when import When
from components.data.tasks import settle_tasks
from components.engine.cluster import running
from components.evaluation.results import Evaluation
from components.pipeline import run as pipeline
from components.pipeline.basis import NoRetraining
from components.pipeline.plain import PlainSteps
from components.references import Dataset, Features, FusedModel, Missing
from components.retrieval.results import Retrievals
from flows.run.lifecycle import open_run
from flows.run.steps import submitted
from flows.workers.pool import WORKERS, run_name, workers
from tasks import artifacts
from tasks.context import Context
from tasks.look import look_task
from tasks.promote import Registered
from tasks.tracking import runs


@dataclass(frozen=True)
class Outcome:
    """Result of a finished run.

    Attributes:
        key: Key of the run.
        mlflow_run: Id of the parent run.
        evaluation: Evaluation of the primary target.
        further: Evaluations of the other targets.
        registered: Version, and whether it is champion.
        report: Path of the HTML page; None where it could not be written.
        extracted: Rows extracted now, by input.
        retrieval: Quality of search; None without an ``alignment``.
        missing: Optional steps that failed.
    """

    key: str
    mlflow_run: str
    evaluation: Evaluation
    further: tuple[Evaluation, ...]
    registered: Registered
    report: Path | None
    extracted: dict[str, int]
    retrieval: Retrievals | None
    missing: tuple[Missing, ...]


@flow(
    name="retrain",
    flow_run_name=run_name,
    task_runner=workers(WORKERS),  # type: ignore[arg-type]  # futures are invariant in prefect's types
)
def retrain(
    config: Path,
    changes: RetrainChanges = RetrainChanges(),  # noqa: B008  (immutable, and the form shows its fields)
    overrides: tuple[str, ...] = (),
    workspace: Path = Path(".braid"),
    tracking_file: Path = Path("mlflow.yaml"),
    again: bool = False,
    when: When = When(),  # noqa: B008
) -> Outcome | NoRetraining:
    """Retrain a multimodal model and decide whether it replaces the champion.

    A run that finds nothing new since the last one of the model ends after the check of the data.

    Args:
        config: Pipeline file.
        changes: Common changes of the file; an empty field keeps the value of the file.
        overrides: Other options that differ from the file, each ``section.option=value``.
        workspace: Folder of caches and runs, and MLflow's database by default.
        tracking_file: mlflow.yaml.
        again: Retrain even if nothing is new.
        when: Reasons to retrain, of which one is enough; empty fields are none.
    """
    settings = load_pipeline(config, [*changes.overrides(), *overrides])
    settings = settle_tasks(settings, workspace.resolve() / "data" / settings.name, config.resolve().parent)
    facts = {"again": True} if again else None  # a cut-off run is resumed as what it was
    with (
        running(settings.engine),
        open_run(config, settings, workspace.resolve(), tracking_file, facts=facts) as run,
    ):
        steps = submitted(run)
        dataset = steps.wait(steps.ingest())
        ended = look_task.submit(run, dataset, again, when).result()
        if ended is None:
            return run_steps(run, steps, dataset)
        for file in run.folder.glob("*.parquet"):  # its rows are those of the run before it, or soon old
            file.unlink()
    return cast(NoRetraining, Completed(message=ended.sentence, data=ended))  # Prefect gives its data


def run_steps(run: Context, steps: PlainSteps, dataset: Dataset) -> Outcome:
    """Retrain within the flow that calls this, and record which optional steps are missing.

    Args:
        run: The run.
        steps: Submits each step.
        dataset: The samples.
    """
    result = pipeline.retrain(steps, run.config, dataset)
    runs.tag_missing(run.tracking, run.mlflow_run, result.missing)
    missing = (*result.missing, *runs.missing_parts(run.tracking, run.mlflow_run))
    with artifacts.optional(run, "list of missing steps in the dashboard"):
        artifacts.show_missing(missing)
    evaluation, *further = result.evaluation.read_all()
    retrieval = result.optional.get("retrieval")
    return Outcome(
        key=run.key,
        mlflow_run=run.mlflow_run,
        evaluation=evaluation,
        further=tuple(further),
        registered=result.promotion,
        report=None if isinstance(result.report, Missing) else Path(result.report),
        retrieval=retrieval.read() if isinstance(retrieval, artifacts.Written) else None,
        extracted=_extracted(steps.wait(result.parts.features), result.parts.fused),
        missing=missing,
    )


def _extracted(features: dict[str, Features], fused: FusedModel | None) -> dict[str, int]:
    """Count the rows extracted in this run by input, and by joint encoder."""
    rows = {name: feature.extracted for name, feature in features.items()}
    if isinstance(fused, FusedModel) and fused.joint:
        rows |= {f"{name} (joint)": feature.extracted for name, feature in fused.features.items()}
    return rows
