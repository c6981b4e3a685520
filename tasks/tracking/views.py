"""Views of MLflow's page of runs: a filter of the runs, and columns.

A view is a tag of the experiment, in the form that MLflow's own "share view" stores; its link names the tag.
MLflow omits columns that no run has.
"""

import json
from dataclasses import dataclass

from tasks.tracking.mlflow_internals import TRAINING_PAGES, VIEW_TAG

_METRICS = ("accuracy", "f1_macro", "f1_micro", "quadratic_kappa", "r2", "rmse", "mae")


@dataclass(frozen=True)
class View:
    """Runs side by side.

    Attributes:
        key: End of the tag's name.
        title: Text of the link.
        filter: Filter in MLflow's language.
        columns: ``tags.NAME``, ``params.NAME``, ``metrics.NAME`` or ``attributes.NAME``.
    """

    key: str
    title: str
    filter: str
    columns: tuple[str, ...]

    @property
    def tag(self) -> str:
        return f"{VIEW_TAG}{self.key}"

    def link(self, experiment: str) -> str:
        """Return the address relative to MLflow's pages."""
        return f"#/experiments/{experiment}/runs?{TRAINING_PAGES}&viewStateShareKey={self.key}"

    def state(self) -> str:
        """Write the value of the tag."""
        columns = [f"{kind}.`{name}`" for kind, _, name in (each.partition(".") for each in self.columns)]
        return json.dumps(
            {
                "searchFilter": self.filter,
                "orderByKey": "attributes.start_time",
                "orderByAsc": False,
                "selectedColumns": columns,
                "columnOrder": columns,
            }
        )


VIEWS = (
    View(
        "retrainings",
        "Retrainings side by side",
        "tags.kind = 'retrain'",
        (
            "tags.config",
            "tags.champion",
            "tags.fusion",
            "tags.fusion_helps",
            "tags.delivered",
            *(f"metrics.test_{name}" for name in _METRICS),
            "metrics.delivered_gain",
            "metrics.delivered_gain_low",
            "metrics.worst_subset_drop",
            "metrics.calibration_error_after",
            "metrics.data_quarantined",
            "tags.model_version",
            "params.seed",
        ),
    ),
    View(
        "trainings",
        "Fits, fusions and trials side by side",
        "metrics.parameters > 0",  # runs that trained something; MLflow has no IN for tags
        (
            "tags.config",
            "tags.kind",
            "tags.fusion",
            *(f"metrics.val_{name}" for name in _METRICS),
            *(f"metrics.test_{name}" for name in _METRICS),
            "metrics.parameters",
            "metrics.seconds",
            "metrics.best_epoch",
            "params.training.learning_rate",
            "params.fusion.width",
            "params.seed",
        ),
    ),
)
