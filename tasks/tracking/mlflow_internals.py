"""Private names of MLflow: braid uses them in this file, and in ``pyfunc.py`` one that it cannot import.

Written for mlflow 3.17 (``mlflow>=3.17,<4`` in pyproject.toml). Each entry says what lets it go.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import __version__
from mlflow.data.dataset import Dataset
from mlflow.entities import Dataset as DatasetEntity

VIEW_TAG = "mlflow.sharedViewState."
"""Begins the tag of an experiment that holds a shared view. Goes when MLflow's client can save a view."""
EXPERIMENT_KIND, TRAINING = "mlflow.experimentKind", "custom_model_development"
"""Tag of an experiment and its value: without it MLflow shows the pages of chat models.

Goes when MLflow's client can set the kind."""
TRAINING_PAGES = "workflowType=machine_learning"
"""Query of an address: else a browser that has not been told before shows the pages of chat models.

Goes when MLflow's pages look at the kind of the experiment first."""
LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"
"""Tag of a run that lists its tables for MLflow's page.

Goes when ``MlflowClient.log_table`` replaces an existing table, as a retried step needs."""


def entity_of(dataset: Dataset) -> DatasetEntity:
    """Turn a data set into what ``MlflowClient.log_inputs`` takes.

    Goes when the client takes the data set itself, as ``mlflow.log_input`` does.
    """
    return dataset._to_mlflow_entity()


def become_server(options: Sequence[str]) -> None:
    """Replace this process by MLflow's server.

    MLflow's command line starts the server as a child. Killed, it would leave that behind, and both hold the
    whole of MLflow.

    Goes when ``mlflow server`` is one process.

    Args:
        options: Options of ``mlflow server``.
    """
    import mlflow.server
    from mlflow.cli import cli

    def become(command: list[str], *, extra_env: Mapping[str, str], **options: Any) -> None:
        os.execvpe(command[0], command, {**os.environ, **extra_env})

    mlflow.server._exec_cmd = become  # type: ignore[assignment]
    cli(["server", *options])


def tables() -> Path:
    """Return the file with the tables of a new database.

    Goes when MLflow makes them in less than a second.
    """
    return Path(__file__).with_name(f"tables-{__version__}.sql")
