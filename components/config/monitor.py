"""What a model carries for new data to be compared with, and how it is compared: the form of ``monitor``."""

from __future__ import annotations

from pydantic import Field

from components.config.data import Format
from components.config.section import Form, Section

MOST_ROWS = 5000  # the kernel between all pairs of rows is held in memory


class MonitoringConfig(Section):
    """What the model carries for `braid monitor`."""

    rows: int = Field(
        1000,
        ge=0,
        le=MOST_ROWS,
        description="Most validation and test rows whose embeddings, table cells, targets and answers go "
        "with the model, for new data to be compared with. 0: none; it cannot be monitored then.",
    )


class MonitorConfig(Form):
    """New data, the model whose data it is compared with, and when that is an alarm."""

    model: str = Field(
        description="Registered model, whose champion is taken, or NAME/VERSION, NAME@ALIAS; or a run: key, "
        "MLflow run id, name or 'last'."
    )
    manifest: str = Field(
        description="Table with the model's columns and, if known, its targets: CSV, TSV, Parquet or JSON "
        "lines, a local path or a URL. Paths of media in it are relative to it."
    )
    format: Format = Field("auto", description="How to read the table; auto goes by its name.")
    rows: int = Field(
        1000,
        ge=20,
        le=MOST_ROWS,
        description="Most rows of the table that are looked at, drawn by chance. Time and memory grow with "
        "its square, not with the table.",
    )
    seed: int = Field(0, ge=0, description="Seed of the rows drawn, of permutations and of folds.")
    level: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="Chance of any false alarm in the whole report, on data that has not changed.",
    )
    permutations: int = Field(
        999,
        ge=99,
        description="Permutations behind each MMD test; more are drawn where so many tests are made that "
        "fewer could not reach the level.",
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
        description="Population stability index of a column, of targets or of answers below which there is "
        "no alarm.",
    )
    min_rate: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Change of the share of missing inputs or unusable rows below which there is no alarm.",
    )
