"""Task: what was decisive inside the inputs of some test rows."""

from dataclasses import dataclass
from pathlib import Path

from components.explanations.explain import explain_samples
from components.explanations.figures import explanation_figures
from components.explanations.results import Explanations
from components.references import Dataset
from components.storage.atomic import write_bytes
from tasks.artifacts import log_result
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.step import gpu_slot, step


@dataclass(frozen=True)
class Explained:
    """Reference to the explanations.

    Attributes:
        result: JSON of :class:`components.explanations.results.Explanations`.
    """

    result: str

    def read(self) -> Explanations:
        """The explanations."""
        return Explanations.from_json(Path(self.result).read_text("utf-8", "surrogatepass"))


@step(name="explain", task_run_name="explain", tags=["evaluation"])
def explain_task(context: Context, dataset: Dataset, evaluated: Evaluated) -> Explained:
    """Look into the worst and some typical test rows; figures to MLflow, in short to the dashboard."""
    progress = Progress(context, "explain")
    with gpu_slot(context):
        predictions = evaluated.read_predictions()
        explanations = explain_samples(dataset, context.bundle, predictions, context.config, progress)
    file = context.folder / "explanations.json"
    write_bytes(file, explanations.to_json().encode("utf-8", "surrogatepass"))
    log_result(context, explanations, file, lambda: explanation_figures(explanations))
    progress.finish(explanations.headline)
    return Explained(str(file))
