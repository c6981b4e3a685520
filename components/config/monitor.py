"""Options of drift monitoring: the data that a model carries, and the form of the flow ``monitor``."""

from pydantic import Field

from components.config.data import Format
from components.config.section import Form, Section

DRIFT_EVENT = "braid.drift"
"""Name of the event by which Prefect learns of drift."""
MOST_ROWS = 5000  # as the kernel between all pairs of rows has to fit into memory


class MonitoringConfig(Section):
    """Reference data that the model carries for `braid monitor`."""

    rows: int = Field(
        1000,
        ge=0,
        le=MOST_ROWS,
        description="Most validation and test rows whose embeddings, cells, targets and predictions the "
        "model "
        "carries as reference for new data. With 0 the model cannot be monitored.",
    )


class MonitorConfig(Form):
    """New data, the model to whose reference it is compared, and the thresholds of an alarm."""

    model: str = Field(
        description="Registered model: NAME for its champion, NAME/VERSION or NAME@ALIAS. Or a run: its key, "
        "MLflow run id, name or 'last'."
    )
    manifest: str = Field(
        description="Table with the model's columns and, if known, its targets: CSV, TSV, Parquet or JSON "
        "lines, a local path or a URL. Paths of media in it are relative to it."
    )
    format: Format = Field("auto", description="Format of the table; auto chooses by its name.")
    rows: int = Field(
        1000,
        ge=20,
        le=MOST_ROWS,
        description="Most rows of the table that are compared, drawn at random. Time and memory grow with "
        "the "
        "square of this number, not with the table.",
    )
    seed: int = Field(0, ge=0, description="Seed of the row sample, of permutations and of folds.")
    level: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="Probability of any false alarm in the report if the data has not changed.",
    )
    permutations: int = Field(
        999,
        ge=99,
        description="Permutations per MMD test; raised if the number of tests needs more to reach the level.",
    )
    min_mmd: float = Field(
        0.05, ge=0, description="MMD of an input's embeddings (0 to about 1) below which there is no alarm."
    )
    min_auc: float = Field(
        0.6,
        ge=0.5,
        lt=1,
        description="Area under the ROC curve of the domain classifier below which there is no alarm.",
    )
    min_psi: float = Field(
        0.1,
        ge=0,
        description="Population stability index of a column, of targets or of predictions below which there "
        "is "
        "no alarm.",
    )
    min_rate: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Change of the share of missing inputs or unusable rows below which there is no alarm.",
    )
