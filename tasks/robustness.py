"""Task: what damaged and missing inputs cost the delivered model."""

from dataclasses import dataclass
from pathlib import Path

from components.references import Dataset
from components.robustness.figures import robustness_figures
from components.robustness.measure import measure_robustness
from components.robustness.results import Robustness
from components.storage.atomic import write_bytes
from tasks.artifacts import log_result
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.step import gpu_slot, step


@dataclass(frozen=True)
class Stressed:
    """Reference to the robustness curves.

    Attributes:
        result: JSON of :class:`components.robustness.results.Robustness`.
    """

    result: str

    def read(self) -> Robustness:
        """The curves."""
        return Robustness.from_json(Path(self.result).read_text("utf-8"))


@step(name="robustness", task_run_name="robustness", tags=["evaluation"])
def robustness_task(context: Context, dataset: Dataset, evaluated: Evaluated) -> Stressed:
    """Score damaged and incomplete copies of test rows; curves to MLflow, tables to the dashboard."""
    progress = Progress(context, "robustness")
    with gpu_slot(context):
        robustness = measure_robustness(dataset, context.bundle, evaluated.read(), context.config, progress)
    file = context.folder / "robustness.json"
    write_bytes(file, robustness.to_json().encode())
    log_result(context, robustness, file, lambda: robustness_figures(robustness))
    progress.finish(robustness.headline)
    return Stressed(str(file))
