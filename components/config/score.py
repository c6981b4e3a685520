"""Form of the flow ``score``."""

from pydantic import Field, SecretStr

from components.config.data import Format
from components.config.section import Form

BATCH = 128
"""Rows per prediction. Chunks are whole batches, so that their size changes no prediction."""


class ScoreConfig(Form):
    """Table to score, the model that scores it, and the destination of the predictions."""

    model: str = Field(
        description="Registered model: NAME for its champion, NAME/VERSION or NAME@ALIAS. Or a run: its key, "
        "MLflow run id, name or 'last'."
    )
    manifest: str = Field(
        description="Table with the model's columns, any of which may be missing: CSV, TSV, Parquet or JSON "
        "lines, a local path or a URL. Paths of media in it are relative to it."
    )
    out: str = Field("predictions", description="Folder in which each job has its own folder.")
    format: Format = Field("auto", description="Format of the table; auto chooses by its name.")
    id: str | None = Field(
        None,
        description="Column with a unique id per row; null takes the column 'id', and numbers the rows if "
        "the "
        "table has none.",
    )
    chunk_rows: int = Field(
        1024,
        ge=BATCH,
        multiple_of=BATCH,
        description="Rows per chunk, which is one Parquet part. Only the memory that a job needs depends on "
        "it.",
    )
    explain: bool = Field(
        False,
        description="Add share_<input>: contribution of each input to the prediction, for up to 6 inputs.",
    )
    max_bad: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest share of rows with an unusable input, or without any, before the job stops.",
    )
    sql: SecretStr | None = Field(
        None,
        description="Database (SQLAlchemy URL) to which the predictions are written as well. ${NAME} is "
        "replaced "
        "by the environment variable, so that no password is stored.",
    )
    table: str = Field(
        "predictions", min_length=1, description="Table of that database; created if it does not exist."
    )
