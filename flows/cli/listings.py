"""Commands that list what there is: runs, models. No server is started for them."""

from typing import Annotated

import typer

from components.config import load_tracking
from flows.cli.options import HERE, MLFLOW, AsJson, TrackingFile, Workspace, readable, reported, show


def runs(
    most: Annotated[int, typer.Option(min=1, help="Most runs in the list, the newest first.")] = 20,
    workspace: Workspace = HERE,
    mlflow: TrackingFile = MLFLOW,
    as_json: AsJson = False,
) -> None:
    """List the runs: test result with its interval, champion, age, size of the model."""
    with reported(workspace):
        from tasks.tracking.listings import list_runs

        with readable(workspace) as folder:
            listed = list_runs(load_tracking(mlflow, folder.resolve()), most)
    show(as_json, listed)


def models(workspace: Workspace = HERE, mlflow: TrackingFile = MLFLOW, as_json: AsJson = False) -> None:
    """List the registered models: champion, its test result with interval, age, size."""
    with reported(workspace):
        from tasks.tracking.listings import list_models

        with readable(workspace) as folder:
            listed = list_models(load_tracking(mlflow, folder.resolve()))
    show(as_json, listed)
