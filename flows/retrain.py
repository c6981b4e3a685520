"""Flow ``retrain``: a manifest to a registered, evaluated model."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from components.config import load_pipeline
from components.config.forms import RetrainChanges
from components.data.tasks import settle_tasks
from components.engine.cluster import running
from components.evaluation.results import Evaluation
from components.pipeline import run as pipeline
from components.references import Features, FusedModel, Missing
from components.retrieval.results import Retrievals
from flows.run.lifecycle import open_run
from flows.run.steps import submitted
from flows.workers.pool import WORKERS, run_name, workers
from tasks import artifacts
from tasks.context import Context
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
) -> Outcome:
    """Retrain a multimodal model and decide whether it replaces the champion.

    Args:
        config: Pipeline file.
        changes: Common changes of the file; an empty field keeps the value of the file.
        overrides: Other options that differ from the file, each ``section.option=value``.
        workspace: Folder of caches and runs, and MLflow's database by default.
        tracking_file: mlflow.yaml.
    """
    settings = load_pipeline(config, [*changes.overrides(), *overrides])
    settings = settle_tasks(settings, workspace.resolve() / "data" / settings.name, config.resolve().parent)
    with running(settings.engine), open_run(config, settings, workspace.resolve(), tracking_file) as run:
        return run_steps(run)


def run_steps(run: Context) -> Outcome:
    """Retrain within the flow that calls this, and record which optional steps are missing."""
    steps = submitted(run)
    result = pipeline.retrain(steps, run.config)
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
