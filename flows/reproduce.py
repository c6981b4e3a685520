"""Flow ``reproduce``: a repetition of a finished retraining, from nothing, in a folder of its own."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow

from components.config import PipelineConfig, load_tracking
from components.config.tracking import VARIABLES
from components.data.ingest import ingest
from components.errors import DataError
from components.reproduction.differences import Comparison, differences
from components.runtime.environ import variables
from components.storage.atomic import write_bytes
from flows.retrain import Outcome, run_steps
from flows.run.lifecycle import open_run
from flows.run.steps import submitted
from flows.workers.pool import WORKERS, run_name, workers
from tasks.reproduce import Carried, carried

FOLDER = "reproductions"
_FINISHED = "finished"


@dataclass(frozen=True)
class Reproduced:
    """A run and its repetition.

    Attributes:
        original: MLflow id of the run.
        again: MLflow id of the repetition, in the database of ``workspace``.
        workspace: Folder of the repetition, with its own cache, MLflow database and registry.
        comparison: All differences.
    """

    original: str
    again: str
    workspace: Path
    comparison: Comparison


@flow(
    name="reproduce",
    flow_run_name=run_name,
    task_runner=workers(WORKERS),  # type: ignore[arg-type]  # futures are invariant in prefect's types
    validate_parameters=False,
)
def repeat(config: Path, settings: Mapping[str, Any], workspace: Path) -> Outcome:
    """Retrain with the settings of an earlier run; nothing leaves the workspace.

    Args:
        config: The pipeline file of that run; need not exist any more.
        settings: Contents of that file, with the overrides of then.
        workspace: Workspace of the repetition alone.
    """
    pipeline = PipelineConfig.model_validate(settings)
    with open_run(config, pipeline, workspace, workspace / "mlflow.yaml", "reproduce") as run:
        steps = submitted(run)
        return run_steps(run, steps, steps.wait(steps.ingest()))


def repetition_folder(workspace: Path, run: Carried) -> Path:
    """Make the folder in which a run is repeated: empty, or as a kill left it."""
    folder = workspace / FOLDER / run.run
    if (folder / _FINISHED).exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_data(run: Carried, pipeline: PipelineConfig, folder: Path) -> None:
    """Check that the data of a run is still the same.

    Raises:
        DataError: If it cannot be read, or is other data.
    """
    try:
        dataset = ingest(pipeline, folder / "data" / pipeline.name, run.file.parent)
    except DataError as error:
        raise DataError(f"the data of run {run.name} cannot be read any more: {error}") from error
    if dataset.digest == run.account.data:
        return
    metrics = run.account.metrics
    now = {"rows": dataset.rows, "quarantined": dataset.quarantined}
    now |= {f"{split}_rows": rows for split, rows in dataset.splits.items()}
    now |= {f"{name}_missing": rows for name, rows in dataset.missing.items()}
    counts = [
        f"{name} {metrics[f'data_{name}']:.0f} then, {value} now"
        for name, value in now.items()
        if metrics.get(f"data_{name}") != value
    ]
    raise DataError(
        f"run {run.name} was of other data than {dataset.source} holds now (digest {run.account.data} then, "
        f"{dataset.digest} now; {', '.join(counts) or 'the same number of rows, other contents'}). Put the "
        "data back as it was, or give its path: --set data.source=PATH"
    )


def reproduce(run: Carried, pipeline: PipelineConfig, folder: Path) -> Reproduced:
    """Repeat a run in :func:`repetition_folder` and compare both.

    Args:
        run: The run.
        pipeline: Its pipeline, perhaps with changes.
        folder: Workspace of the repetition.
    """
    write_bytes(folder / "mlflow.yaml", b"system_metrics: false\n")
    # It logs to its own workspace, whatever the environment names. It has as many threads as the run had,
    # since the division of a sum among threads decides its last bits.
    with variables({**dict.fromkeys(VARIABLES), "OMP_NUM_THREADS": str(run.threads)}):
        outcome = repeat(run.file, pipeline.model_dump(mode="json"), folder)
        again = carried(load_tracking(folder / "mlflow.yaml", folder), outcome.mlflow_run)
    comparison = Comparison(len(run.account.metrics), tuple(differences(run.account, again.account)))
    (folder / _FINISHED).touch()
    return Reproduced(run.run, again.run, folder, comparison)
