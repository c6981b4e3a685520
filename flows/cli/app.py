"""Command line ``braid``: one function per command, and ``main``.

Exit codes: 0 done; 1 unexpected failure; 2 wrong usage or configuration; 3 the data cannot be
used; 4 a model, training, service or disk cannot be used; 5 the rule of promotion forbids it; 6 drift, where
``--fail-on-drift`` asks for it; 7 a repeated run differs; 130 interrupted.
"""

import json
import subprocess
import sys
import webbrowser
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

# A command imports its libraries when it runs: this takes seconds, in which Prefect's server can start.
from components.config import load_pipeline, load_tracking
from components.config.engine import EngineConfig
from components.errors import BraidError
from components.redaction import without_secrets
from flows.cli.options import (
    DIFFERENT,
    DRIFTED,
    HERE,
    MLFLOW,
    REFUSED,
    AsJson,
    Config,
    ModelName,
    Name,
    Overrides,
    RunName,
    TableFormat,
    TrackingFile,
    Why,
    Workspace,
    checked,
    console,
    reported,
    serving,
)
from flows.process_settings import configure_process

app = typer.Typer(
    help="Retrain multimodal models and prove whether the new one deserves to replace the old one.",
    epilog="Exit codes: 0 done, 1 unexpected failure, 2 wrong usage or configuration, 3 the data cannot be "
    "used, 4 a model, training, service or disk cannot be used, 5 the rule of promotion forbids it, "
    "6 drift (--fail-on-drift), 7 a repeated run differs, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    config: Config,
    overrides: Overrides = None,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline: data to a registered, evaluated model. Resumes a killed run."""
    with reported(workspace):
        load_pipeline(config, overrides or [])  # a fault in the file is reported before servers start
        with serving("flows.retrain", workspace, mlflow):
            from flows.retrain import retrain

            outcome = retrain(
                config, overrides=tuple(overrides or ()), workspace=workspace, tracking_file=mlflow
            )
    if as_json:
        from flows.cli.json_output import outcome_json

        print(outcome_json(outcome))
    else:
        from flows.cli.tables import show_outcome

        show_outcome(Console(), outcome)


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(help="Sweep file (YAML), for example configs/bakeoff.yaml.")],
    overrides: Overrides = None,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Compare fusions over seeds, search their options, register the winner. Resumes a killed sweep."""
    with reported(workspace):
        from components.config.sweep import load_sweep

        parallel = load_sweep(config, overrides or []).parallel
        with serving("flows.sweep", workspace, mlflow):
            from flows.sweep import sweep_flow

            outcome = sweep_flow(parallel)(
                config, overrides=tuple(overrides or ()), workspace=workspace, tracking_file=mlflow
            )
    if as_json:
        from flows.cli.json_output import sweep_json

        print(sweep_json(outcome))
    else:
        from flows.cli.tables import show_sweep

        show_sweep(Console(), outcome)


@app.command()
def distill(
    config: Annotated[Path, typer.Argument(help="Distill file (YAML), such as configs/emoji-distill.yaml.")],
    overrides: Overrides = None,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Train students with fewer inputs with a model's help, and measure the gain of that help."""
    with reported(workspace):
        from components.config.distill import load_distill

        load_distill(config, overrides or [])
        with serving("flows.distill", workspace, mlflow):
            from flows.distill import distill as distill_flow

            distilled = distill_flow(
                config, overrides=tuple(overrides or ()), workspace=workspace, tracking_file=mlflow
            )
    if as_json:
        from flows.cli.json_output import distilled_json

        print(distilled_json(distilled))
    else:
        from flows.cli.tables import show_distilled

        show_distilled(Console(), distilled)


@app.command()
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
        with serving("flows.score", workspace, mlflow, workers=False):
            from flows.score import score as score_flow

            scored = score_flow(config, workspace, mlflow)
    if as_json:
        from flows.cli.json_output import scored_json

        print(scored_json(scored))
    else:
        from flows.cli.tables import show_scored

        show_scored(Console(), scored)


@app.command()
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
    if as_json:
        from flows.cli.json_output import monitored_json

        print(monitored_json(monitored))
    else:
        from flows.cli.tables import show_monitored

        show_monitored(Console(), monitored)
    if fail_on_drift and monitored.drift.drifted:
        raise typer.Exit(DRIFTED)


@app.command()
def check(
    config: Config, overrides: Overrides = None, workspace: Workspace = HERE, as_json: AsJson = False
) -> None:
    """Check a pipeline file and its data; show what would be used. Trains nothing."""
    with reported(workspace):
        from components.data.ingest import ingest

        pipeline = load_pipeline(config, overrides or [])
        device = _device(pipeline.engine)
        folder = workspace / "data" / pipeline.name
        with console.status("checking every file"):
            dataset = ingest(pipeline, folder, config.resolve().parent)
    if as_json:
        print(
            json.dumps(
                without_secrets(
                    {
                        "dataset": asdict(dataset),
                        "device": device,
                        "config": pipeline.model_dump(mode="json"),
                    }
                )
            )
        )
    else:
        from flows.cli.tables import show_check

        show_check(Console(), pipeline, dataset, device)


def _device(engine: EngineConfig) -> str:
    """Name the device of networks. Raises a BraidError if this machine does not have it."""
    from components.engine.cluster import import_ray
    from components.runtime.device import choose_device

    if engine.name == "local":
        return str(choose_device(engine.device))
    import_ray()
    return f"{engine.device} on Ray"


@app.command()
def report(
    name: RunName,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Print the path of a run's HTML report, fetched from MLflow if need be."""
    with reported(workspace):
        from tasks.tracking import runs

        at = load_tracking(mlflow, workspace.resolve())
        run = runs.find_run(at, name)
        if run is None:
            raise BraidError(f"there is no run {name!r} in {at.tracking_uri}; `braid ui` lists all runs")
        path = runs.download(at, run.info.run_id, "report.html", workspace / "reports" / run.info.run_id)
    print(path.resolve())
    if open_page:
        webbrowser.open(path.resolve().as_uri())


@app.command()
def reproduce(
    name: RunName,
    overrides: Overrides = None,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """Repeat a finished run from nothing and compare both to the last bit; exit code 7 if results differ."""
    with reported(workspace):
        from flows.reproduce import check_data, repetition_folder
        from flows.reproduce import reproduce as reproduce_run
        from tasks.reproduce import carried

        original = carried(load_tracking(mlflow, workspace.resolve()), name)
        pipeline = original.pipeline(overrides or [])
        folder = repetition_folder(workspace.resolve(), original)
        if not overrides:  # they may choose other rows
            with console.status("comparing the data"):
                check_data(original, pipeline, folder)
        with serving("flows.reproduce", workspace, folder / "mlflow.yaml", folder):
            reproduced = reproduce_run(original, pipeline, folder)
    if as_json:
        from flows.cli.json_output import reproduced_json

        print(reproduced_json(reproduced))
    else:
        from flows.cli.tables import show_reproduced

        show_reproduced(Console(), reproduced)
    if not reproduced.comparison.same_results:
        raise typer.Exit(DIFFERENT)


@app.command()
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

        at = load_tracking(mlflow, workspace.resolve())
        bundle = registry.cached_bundle(at, registry.find_model(at, model), workspace / "models")
        hits = Search(bundle).find(query, source, wanted, top, manifest)
    if as_json:
        print(json.dumps([asdict(hit) for hit in hits], ensure_ascii=False))
    else:
        from flows.cli.tables import show_hits

        show_hits(Console(), hits, wanted)


@app.command()
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
    if as_json:
        from flows.cli.json_output import promotion_json

        print(promotion_json(promotion))
    else:
        from flows.cli.tables import show_promotion

        show_promotion(Console(), promotion, f"{name} version {version}")
    if promotion.moved is None:
        raise typer.Exit(REFUSED)


@app.command()
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
    if as_json:
        print(json.dumps(asdict(moved), ensure_ascii=False))
    else:
        print(f"{name} version {moved.champion} is champion: {moved.reason}.")


@app.command()
def up(
    operations: Annotated[
        Path, typer.Argument(help="Operations file (YAML): deployments and their schedules.")
    ] = Path("configs/operations.yaml"),
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
) -> None:
    """Serve Prefect's and MLflow's pages and all flows on this machine, until interrupted."""
    with reported(workspace, "stopped; the same command resumes"):
        from flows.hosting.up import up as serve

        serve(operations, workspace.resolve(), mlflow.resolve(), lambda line: print(line, flush=True))


@app.command()
def deploy(
    operations: Annotated[
        Path, typer.Argument(help="Operations file (YAML), at a path that the workers have too.")
    ] = Path("configs/operations.yaml"),
    pool: Annotated[str, typer.Option(help="Work pool of flows that do not train.")] = "cpu",
    heavy_pool: Annotated[
        str | None,
        typer.Option(envvar="BRAID_HEAVY_POOL", help="Work pool of flows that train; by default the same."),
    ] = None,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
) -> None:
    """Deploy all flows to work pools of the Prefect server at PREFECT_API_URL."""
    with reported(workspace):
        from prefect.settings import get_current_settings

        from flows.hosting.deployments import Paths
        from flows.hosting.deployments import deploy as deploy_flows

        if not get_current_settings().api.url:
            raise BraidError(
                "PREFECT_API_URL is not set: give the address of the server to deploy to, for example "
                "http://127.0.0.1:4200/api. On one machine `braid up` needs none"
            )
        paths = Paths(workspace.resolve(), mlflow.resolve())
        for name, chosen in deploy_flows(operations.resolve(), paths, pool, heavy_pool or pool).items():
            print(f"{name} goes to the work pool {chosen}")


@app.command()
def ui(
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Serve MLflow's page of runs and models, until interrupted."""
    with reported(workspace):
        at = load_tracking(mlflow, workspace.resolve())
        uri = str(at.tracking_uri)
        if uri.startswith("http"):
            print(f"mlflow.yaml names a server: {uri}")
            return
        artifacts = ["--default-artifact-root", at.artifact_location] if at.artifact_location else []
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, *artifacts]
        print(f"MLflow is at http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
        server = subprocess.run([*command, "--host", "127.0.0.1", "--port", str(port)], check=False)
        if server.returncode not in (0, -2, 130):
            raise BraidError(
                f"MLflow's server ended with code {server.returncode}; is port {port} free? Try --port."
            )


def main() -> None:
    """Run the command line ``braid``."""
    configure_process()  # before a command imports what reads it
    app()


if __name__ == "__main__":
    main()
