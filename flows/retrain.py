"""Flow ``retrain``: from a manifest to a registered, evaluated model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture

from components.config import load_pipeline
from components.config.forms import RetrainChanges
from components.engine.cluster import running
from components.evaluation.results import Evaluation
from components.models.encoders import needs_fit
from components.references import Dataset, Features, FusedModel, Prepared, Trained
from components.retrieval.results import Retrievals
from components.training.loop import BEST
from flows.run.lifecycle import opened
from flows.workers.pool import WORKERS, run_name, workers
from tasks.align import align_task, pretrain_task, retrieval_task
from tasks.audit import audit_task
from tasks.context import Context
from tasks.evaluate import evaluate_task
from tasks.explain import explain_task
from tasks.extract import extract_task
from tasks.fit import fit_task, probe_task
from tasks.fuse import fuse_task, joint_task
from tasks.ingest import ingest_task
from tasks.preprocess import preprocess_task
from tasks.promote import Registered, promote_task
from tasks.report import report_task
from tasks.robustness import robustness_task

Futures = dict[str, PrefectFuture[Prepared]]


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves.

    Attributes:
        key: Of the run.
        mlflow_run: Id of the parent run.
        evaluation: The evaluation of the target that decides.
        further: Those of the other targets.
        registered: Version and champion.
        report: Path of the HTML page.
        extracted: Rows extracted now, by input.
        retrieval: How well search finds; None without an ``alignment``.
    """

    key: str
    mlflow_run: str
    evaluation: Evaluation
    further: tuple[Evaluation, ...]
    registered: Registered
    report: Path
    extracted: dict[str, int]
    retrieval: Retrievals | None


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
        changes: What people usually change of it; empty fields stay as the file has them.
        overrides: Any other options that differ from the file, each ``section.option=value``.
        workspace: Folder with caches and runs, and MLflow's database by default.
        tracking_file: mlflow.yaml.
    """
    pipeline = load_pipeline(config, [*changes.overrides(), *overrides])
    with running(pipeline.engine), opened(config, pipeline, workspace.resolve(), tracking_file) as run:
        return retrained(run)


def retrained(run: Context) -> Outcome:
    """All steps of a retraining, in the flow that this is called from."""
    pipeline = run.config
    dataset = ingest_task.submit(run).result()
    names = list(pipeline.inputs)
    prepared = {name: preprocess_task.submit(run, dataset, name) for name in names}
    aligning = pipeline.alignment
    pretrained = (
        pretrain_task.submit(run, dataset, prepared)
        if aligning is not None and aligning.use == "pretraining"
        else None
    )
    fitted = {name: fit_task.submit(run, dataset, prepared[name], name, pretrained) for name in names}
    features = {name: extract_task.submit(run, dataset, prepared[name], fitted[name], name) for name in names}
    singles = {
        name: fitted[name]
        if needs_fit(pipeline.inputs[name].encoder)
        else probe_task.submit(run, dataset, features[name], name)
        for name in names
    }
    fused: FusedModel | PrefectFuture[FusedModel] | None = None
    if len(names) > 1:
        start = fuse_task.submit(run, dataset, features, singles) if pipeline.strategy == "staged" else None
        fused = start
        if pipeline.strategy == "joint" or pipeline.joint_epochs:
            fused = _joint(run, dataset, prepared, features, singles, start, pretrained)
    settled(prepared, fitted, features, singles, {"fusion": fused})
    aligned = align_task.submit(run, dataset, fused) if aligning is not None else None
    evaluated = evaluate_task.submit(run, dataset, prepared, singles, features, fused, aligned)
    retrieved = retrieval_task.submit(run, dataset, fused, aligned) if aligned is not None else None
    stressed = (
        robustness_task.submit(run, dataset, evaluated) if pipeline.evaluation.robustness.rows else None
    )
    explained = (
        explain_task.submit(run, dataset, evaluated) if pipeline.evaluation.explanations.samples else None
    )
    audited = audit_task.submit(run, dataset, prepared, features, evaluated) if pipeline.audit.rows else None
    measured = [stressed] if stressed is not None else []  # the rule looks at what it recorded
    registered = promote_task.submit(run, dataset, evaluated, wait_for=measured)
    settled({"evaluate": evaluated, "robustness": stressed, "explain": explained})
    settled({"audit": audited})
    settled({"alignment": aligned, "retrieval": retrieved, "promote": registered})
    report = report_task.submit(run, dataset, evaluated, registered, stressed, explained, retrieved, audited)
    evaluation, *further = evaluated.result().read_all()
    return Outcome(
        key=run.key,
        mlflow_run=run.mlflow_run,
        evaluation=evaluation,
        further=tuple(further),
        registered=registered.result(),
        report=Path(report.result()),
        retrieval=retrieved.result().read() if retrieved is not None else None,
        extracted=_extracted({name: feature.result() for name, feature in features.items()}, fused),
    )


def settled(*groups: Mapping[str, Any]) -> None:
    """Wait for futures in the order of their steps, so that a failure is told by the step that failed.

    A step after it would only tell that something before it is missing.
    """
    for group in groups:
        for future in group.values():
            if isinstance(future, PrefectFuture):
                future.result()


def _joint(
    run: Context,
    dataset: Dataset,
    prepared: Futures,
    features: Mapping[str, Any],
    singles: Mapping[str, Any],
    start: PrefectFuture[FusedModel] | None,
    pretrained: PrefectFuture[Trained] | None,
) -> FusedModel:
    """Train all together, then extract with the encoders that came of it."""
    trained, encoders = joint_task.submit(
        run, dataset, prepared, features, singles, start, pretrained
    ).result()
    extracted = {
        name: extract_task.submit(run, dataset, prepared[name], weights, name, " joint")
        for name, weights in encoders.items()
    }
    return FusedModel(
        features={name: feature.result() for name, feature in extracted.items()},
        weights=str(Path(trained.folder) / BEST),
        prefix="fused.",
        training=trained,
        joint=True,
    )


def _extracted(
    features: dict[str, Features], fused: FusedModel | PrefectFuture[FusedModel] | None
) -> dict[str, int]:
    """Rows extracted in this run by input, for the joint encoders too where there are any."""
    rows = {name: feature.extracted for name, feature in features.items()}
    if isinstance(fused, FusedModel):
        rows |= {f"{name} (joint)": feature.extracted for name, feature in fused.features.items()}
    return rows
