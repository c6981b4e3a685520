"""Tasks: learn across modalities, and evaluate the search."""

from dataclasses import dataclass
from pathlib import Path

from components.references import Dataset, FusedModel, Prepared, Trained
from components.retrieval.results import Retrievals
from components.storage.atomic import write_bytes
from tasks.artifacts import log_result
from tasks.context import Context
from tasks.progress import Progress
from tasks.step import gpu_slot, step
from tasks.tracked_training import TrackedSteps


@dataclass(frozen=True)
class Retrieved:
    """Reference to the evaluation of search.

    Attributes:
        result: JSON of :class:`components.retrieval.results.Retrievals`.
    """

    result: str

    def read(self) -> Retrievals:
        """Read the evaluation."""
        return Retrievals.from_json(Path(self.result).read_text("utf-8"))


@step(name="pretrain", task_run_name="align encoders before their fits", tags=["training"])
def pretrain_task(context: Context, dataset: Dataset, prepared: dict[str, Prepared]) -> Trained:
    """Train encoders from scratch across modalities."""
    with gpu_slot(context, context.config.engine):
        return TrackedSteps(context).pretrain(dataset, prepared)


@step(name="align", task_run_name="align", tags=["training"])
def align_task(context: Context, dataset: Dataset, fused: FusedModel) -> Trained:
    """Train the projections that search goes by, on the features that the fusion takes."""
    with gpu_slot(context, context.config.engine):
        return TrackedSteps(context).align(dataset, fused)


@step(name="retrieval", task_run_name="retrieval", tags=["evaluation"])
def retrieval_task(context: Context, dataset: Dataset, fused: FusedModel, aligned: Trained) -> Retrieved:
    """Search from every input to every other on test; to MLflow, a table to the dashboard."""
    progress = Progress(context, "retrieval")
    retrievals = TrackedSteps(context).retrieval(dataset, fused, aligned)
    file = context.folder / "retrieval.json"
    write_bytes(file, retrievals.to_json().encode())
    log_result(context, retrievals, file)
    progress.finish(retrievals.headline)
    return Retrieved(str(file))
