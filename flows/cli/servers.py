"""Commands that serve and deploy: up, deploy, ui."""

from pathlib import Path
from typing import Annotated

import typer

from components.config import load_tracking
from components.errors import BraidError
from flows.cli.options import HERE, MLFLOW, TrackingFile, Workspace, reported
from flows.cli.terminal import say


def up(
    operations: Annotated[
        Path,
        typer.Argument(help="Operations file (YAML): deployments and their schedules; or a pipeline file."),
    ] = Path("configs/operations.yaml"),
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="BRAID_DATABASE",
            metavar="URL",
            help="PostgreSQL database of Prefect's server instead of SQLite, for many runs at once; "
            "${NAME} is an environment variable.",
        ),
    ] = None,
) -> None:
    """Serve Prefect's and MLflow's pages and all flows on this machine, until interrupted."""
    with reported(workspace, "stopped; the same command resumes"):
        from flows.hosting.up import up as serve

        serve(operations, workspace.resolve(), mlflow.resolve(), say, database)


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
        from flows.hosting.deployments import Paths
        from flows.hosting.deployments import deploy as deploy_flows
        from flows.servers.local import configured_api

        if configured_api() is None:
            raise BraidError(
                "PREFECT_API_URL is not set: give the address of the server to deploy to, for example "
                "http://127.0.0.1:4200/api. On one machine `braid up` needs none"
            )
        paths = Paths(workspace.resolve(), mlflow.resolve())
        for name, chosen in deploy_flows(operations.resolve(), paths, pool, heavy_pool or pool).items():
            say(f"{name} goes to the work pool {chosen}")


def ui(
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
) -> None:
    """Serve MLflow's page of runs and models, until interrupted."""
    with reported(workspace):
        from flows.servers.processes import mlflow_doors

        at = load_tracking(mlflow, workspace.resolve())
        uri = str(at.tracking_uri)
        if uri.startswith("http"):
            say(f"mlflow.yaml names a server: {uri}")
            return
        from flows.servers.processes import port_near
        from tasks.tracking.mlflow_internals import become_server

        if port_near(port) != port:
            raise BraidError(f"port {port} of 127.0.0.1 is in use: name another by --port")
        say(f"MLflow is at http://127.0.0.1:{port} (Ctrl-C ends it)")
        artifacts = ["--default-artifact-root", at.artifact_location] if at.artifact_location else []
        address = ["--workers", "1", "--host", "127.0.0.1", "--port", str(port), *mlflow_doors(port)]
        become_server(["--backend-store-uri", uri, *artifacts, *address])
