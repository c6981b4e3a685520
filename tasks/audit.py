"""Task: whether the data deserves that its numbers are believed."""

from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger

from components.audit.results import Audit
from components.audit.run import audit
from components.references import Dataset, Features, Prepared
from components.storage.atomic import write_bytes
from tasks.artifacts import log_result, show_result
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.step import step
from tasks.tracking import runs


@dataclass(frozen=True)
class Audited:
    """Reference to the audit.

    Attributes:
        result: JSON of :class:`components.audit.results.Audit`.
    """

    result: str

    def read(self) -> Audit:
        """The audit."""
        return Audit.from_json(Path(self.result).read_text("utf-8"))


@step(name="audit", task_run_name="audit", tags=["data"])
def audit_task(
    context: Context,
    dataset: Dataset,
    prepared: dict[str, Prepared],
    features: dict[str, Features],
    evaluated: Evaluated,
) -> Audited:
    """Votes on labels, duplicates across splits, leaks; warnings to MLflow, the log and the dashboard."""
    progress = Progress(context, "audit")
    result = audit(dataset, prepared, features, evaluated.read(), context.config)
    file = context.folder / "audit.json"
    write_bytes(file, result.to_json().encode("utf-8"))
    log_result(context, result, file)
    runs.set_tags(context.tracking, context.mlflow_run, {"audit": "+".join(result.kinds) or "good"})
    for warning in result.warnings:
        get_run_logger().warning("%s", warning)
    show_result("audit", "Audit of the data", result)
    progress.finish(result.headline)
    return Audited(str(file))
