"""Task: the report, as one HTML page in MLflow and in short in the dashboard."""

import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import yaml

from components.evaluation.results import Evaluation
from components.redaction import without_secrets
from components.references import Dataset, Missing
from components.report.content import Report
from components.report.data_summary import summarise
from components.report.page import render_report
from components.results import markdown
from components.storage.atomic import write_bytes
from tasks import artifacts
from tasks.align import Retrieved
from tasks.audit import Audited
from tasks.context import Context
from tasks.evaluate import Evaluated, read_curves
from tasks.explain import Explained
from tasks.progress import Progress
from tasks.promote import Registered
from tasks.robustness import Stressed
from tasks.step import step
from tasks.tracking import descriptions, runs


@step(name="report", task_run_name="report", tags=["evaluation"])
def report_task(
    context: Context,
    dataset: Dataset,
    evaluated: Evaluated,
    registered: Registered,
    optional: dict[str, Retrieved | Stressed | Explained | Audited | Missing],
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
    evaluation, *further = evaluated.read_all()
    results: dict[str, Any] = {
        step: each.read() for step, each in optional.items() if not isinstance(each, Missing)
    }
    options = without_secrets(config.model_dump(mode="json"))
    settings = yaml.safe_dump(options, sort_keys=False, allow_unicode=True)
    report = Report(
        title=f"{config.name} · {context.key}",
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        evaluation=evaluation,
        data=summarise(dataset),
        further=tuple(further),
        curves=tuple(read_curves(evaluated)),
        config=settings,
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
        verdict=registered.verdict,
        robustness=results.get("robustness"),
        explanations=results.get("explain"),
        retrieval=results.get("retrieval"),
        audit=results.get("audit"),
        missing=(
            *(each for each in optional.values() if isinstance(each, Missing)),
            *runs.missing_parts(at, run),
        ),
    )
    path = context.folder / "report.html"
    write_bytes(path, render_report(report).encode("utf-8", "surrogatepass"))
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
        f"{version.name} version {version.version}": f"#/models/{version.name}/versions/{version.version}",
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
