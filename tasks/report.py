"""Task: the report, as one HTML page in MLflow and in short in the dashboard."""

import subprocess
from importlib.metadata import version
from typing import Any

import yaml

from components.evaluation.results import Evaluation
from components.redaction import without_secrets
from components.references import Dataset, Missing
from components.report.page import write_report
from components.results import markdown
from tasks import artifacts
from tasks.context import Context
from tasks.evaluate import Evaluated
from tasks.progress import Progress
from tasks.promote import Registered
from tasks.step import step
from tasks.tracking import descriptions, runs


@step(name="report", task_run_name="report", tags=["evaluation"])
def report_task(
    context: Context,
    dataset: Dataset,
    evaluated: Evaluated,
    registered: Registered,
    optional: dict[str, artifacts.Written[Any] | Missing],
) -> str:
    """Write the report; give its path.

    Args:
        context: The run.
        dataset: Reference to the samples.
        evaluated: Reference to the evaluation.
        registered: The version in the registry, and the decision about it.
        optional: Results of optional steps by step, or :class:`Missing`.
    """
    config, at, run = context.config, context.tracking, context.mlflow_run
    progress = Progress(context, "report")
    evaluation, *_ = evaluations = evaluated.read_all()
    results = {step: each if isinstance(each, Missing) else each.read() for step, each in optional.items()}
    options = without_secrets(config.model_dump(mode="json"))
    path = context.folder / "report.html"
    report = write_report(
        path,
        dataset,
        evaluations,
        results,
        runs.missing_parts(at, run),
        title=f"{config.name} · {context.key}",
        curves=evaluated.read_curves(),
        fusion=config.fusion.name,
        config=yaml.safe_dump(options, sort_keys=False, allow_unicode=True),
        reproduce={
            "MLflow run": run,
            "run folder": context.key,
            "model": f"{registered.version.name}, version {registered.version.version}",
            "data digest": dataset.digest,
            "seed": str(config.seed),
            "git commit": git_commit() or "not in a repository",
            **{name: version(name) for name in ("torch", "mlflow", "prefect", "scikit-learn")},
        },
        promotion=registered.reason,
        checks=registered.verdict.tables().get("promotion"),
    )
    runs.log_file(at, run, path)

    runs.set_tags(at, run, {runs.NOTE: _note(context, evaluation, registered)})
    shown = evaluation.tables()
    text = markdown.page(
        config.name,
        evaluation.headline,
        (
            *evaluation.findings,
            *(() if report.audit is None else report.audit.findings),
            *(missing.sentence for missing in report.missing),
            f"Model {registered.version.name} version {registered.version.version}: {registered.reason}.",
        ),
        (shown["results"], shown["subsets"]),
    )
    artifacts.show_page("summary", text)
    artifacts.show_report(at, run, path)
    progress.finish(path.name)
    return str(path)


def _note(context: Context, evaluation: Evaluation, registered: Registered) -> str:
    """The MLflow run's description, with links to pages of the same MLflow server and to Prefect."""
    at, run, version = context.tracking, context.mlflow_run, registered.version
    addresses = {
        "report": runs.run_page(at, run, "report.html"),
        f"{version.name} version {version.version}": runs.version_page(version.name, version.version),
    }
    flow_run = runs.get_run(at, run).data.tags.get("prefect_flow_run_url")
    if flow_run:
        addresses["Prefect flow run"] = flow_run
    decision = f"{version.name} version {version.version} became {registered.state}: {registered.reason}"
    return descriptions.of_run(evaluation, decision, addresses)


def git_commit() -> str | None:
    """Read the commit of the working directory, with ``-dirty`` where files differ."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
