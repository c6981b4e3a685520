"""Commands that use models that there are: score, monitor, search, promote, rollback."""

from typing import Annotated

import typer

from components.config import load_tracking
from flows.cli.options import (
    DRIFTED,
    HERE,
    MLFLOW,
    REFUSED,
    AsJson,
    ModelName,
    Name,
    Overrides,
    TableFormat,
    TrackingFile,
    Why,
    Workspace,
    checked,
    readable,
    reported,
    serving,
    show,
)


def score(
    model: ModelName,
    manifest: Annotated[
        str,
        typer.Argument(help="Table with the model's columns: CSV, TSV, Parquet, JSON lines; path or URL."),
    ],
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Parent of the job's folder, which gets the predictions.")
    ] = "predictions",
    id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="COLUMN", help="Column of unique ids; by default 'id', else rows are numbered."
        ),
    ] = None,
    format: TableFormat = "auto",
    chunk_rows: Annotated[
        int, typer.Option(help="Rows per chunk and per Parquet part; a multiple of 128.")
    ] = 1024,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the share of each input in each prediction.")
    ] = False,
    max_bad: Annotated[float, typer.Option(help="Largest share of faulty rows; above it, stop.")] = 0.05,
    sql: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Database that gets the predictions too (SQLAlchemy); ${NAME} is an environment variable.",
        ),
    ] = None,
    table: Annotated[str, typer.Option(metavar="NAME", help="Table of that database.")] = "predictions",
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Score a table with a registered model, one chunk at a time. Resumes a killed job."""
    with reported(workspace):
        from components.config.score import ScoreConfig
        from components.data.rows import open_table

        given = {
            "model": model, "manifest": manifest, "out": out, "id": id, "format": format, "explain": explain,
            "chunk_rows": chunk_rows, "max_bad": max_bad, "sql": sql, "table": table,
        }  # fmt: skip
        config = checked(ScoreConfig, given, "braid score")
        open_table(config.manifest, config.format)  # a table that is missing is reported before servers start
        with readable(workspace) as folder, serving("flows.score", folder, mlflow, workers=False):
            from flows.score import score as score_flow

            scored = score_flow(config, folder, mlflow)
    show(as_json, scored)


def monitor(
    model: ModelName,
    manifest: Annotated[
        str,
        typer.Argument(help="New rows with the model's columns, targets too if known: a table, path or URL."),
    ],
    format: TableFormat = "auto",
    rows: Annotated[int, typer.Option(help="Most rows that are compared, drawn at random.")] = 1000,
    level: Annotated[float, typer.Option(help="Probability of any false alarm in the report.")] = 0.05,
    overrides: Overrides = None,
    fail_on_drift: Annotated[
        bool, typer.Option("--fail-on-drift", help="End with exit code 6 on drift.")
    ] = False,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Compare new rows with those that a model was evaluated on, and report drift."""
    with reported(workspace):
        from components.config.load import overridden
        from components.config.monitor import MonitorConfig
        from components.data.rows import open_table

        given = {"model": model, "manifest": manifest, "format": format, "rows": rows, "level": level}
        given = overridden(given, overrides or [], MonitorConfig)
        config = checked(MonitorConfig, given, "braid monitor")
        open_table(config.manifest, config.format)  # a table that is missing is reported before servers start
        with serving("flows.monitor", workspace, mlflow, workers=False):
            from flows.monitor import monitor as monitor_flow

            monitored = monitor_flow(config, workspace, mlflow)
    show(as_json, monitored)
    if fail_on_drift and monitored.drift.drifted:
        raise typer.Exit(DRIFTED)


def search(
    model: ModelName,
    query: Annotated[str, typer.Option(help="Image or audio file; text; or cells of a row as JSON.")],
    source: Annotated[str, typer.Option("--from", metavar="INPUT", help="Input of the query.")],
    wanted: Annotated[str, typer.Option("--to", metavar="INPUT", help="Input that is searched.")],
    top: Annotated[int, typer.Option(min=1, help="Most samples in the list.")] = 10,
    manifest: Annotated[
        str | None, typer.Option(help="Table that is searched instead of the model's training rows.")
    ] = None,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Find the nearest samples of one input for a query of another, with a logged model."""
    with reported(workspace):
        from components.retrieval.search import Search
        from tasks.tracking import registry

        with readable(workspace) as folder:
            at = load_tracking(mlflow, folder.resolve())
            bundle = registry.cached_bundle(at, registry.find_model(at, model), folder / "models")
            hits = Search(bundle).find(query, source, wanted, top, manifest)
    show(as_json, hits, wanted)


def promote(
    name: Name,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="Number of the version.")],
    force: Annotated[bool, typer.Option("--force", help="Skip the rule.")] = False,
    why: Why = "",
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Make a version champion where the rule of its run allows it; else refuse, with exit code 5."""
    with reported(workspace):
        from tasks.promote import promote_version

        at = load_tracking(mlflow, workspace.resolve())
        promotion = promote_version(at, workspace, name, version, force, why)
    show(as_json, promotion, f"{name} version {version}")
    if promotion.moved is None:
        raise typer.Exit(REFUSED)


def rollback(
    name: Name,
    why: Why = "",
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Make the champion before the present one champion again; repeat it to step further back."""
    with reported(workspace):
        from tasks.tracking import champions

        at = load_tracking(mlflow, workspace.resolve())
        moved = champions.roll_back(at, workspace, name, why)
    show(as_json, moved)
