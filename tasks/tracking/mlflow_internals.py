"""Private names of MLflow: braid uses them in this file, and in ``pyfunc.py`` one that it cannot import.

Written for mlflow 3.17 (``mlflow>=3.17,<4`` in pyproject.toml). Each entry says what lets it go.
"""

from mlflow.data.dataset import Dataset
from mlflow.entities import Dataset as DatasetEntity

VIEW_TAG = "mlflow.sharedViewState."
"""Begins the tag of an experiment that holds a shared view. Goes when MLflow's client can save a view."""
EXPERIMENT_KIND, TRAINING = "mlflow.experimentKind", "custom_model_development"
"""Tag of an experiment and its value: without it MLflow shows the pages of chat models.

Goes when MLflow's client can set the kind."""
LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"
"""Tag of a run that lists its tables for MLflow's page.

Goes when ``MlflowClient.log_table`` replaces an existing table, as a retried step needs."""


def entity_of(dataset: Dataset) -> DatasetEntity:
    """Turn a data set into what ``MlflowClient.log_inputs`` takes.

    Goes when the client takes the data set itself, as ``mlflow.log_input`` does.
    """
    return dataset._to_mlflow_entity()
