"""What a table is scored by, and where the predictions go: the form of the flow ``score``."""

from __future__ import annotations

from pydantic import Field, SecretStr

from components.config.data import Format
from components.config.section import Form

BATCH = 128
"""Rows that the model is asked about at a time. Chunks are whole batches: their size changes no answer."""


class ScoreConfig(Form):
    """A table without targets, the model that scores it, and where the predictions go."""

    model: str = Field(
        description="Registered model, whose champion is taken, or NAME/VERSION, NAME@ALIAS; or a run: key, "
        "MLflow run id, name or 'last'."
    )
    manifest: str = Field(
        description="Table with the model's columns, of which any may be missing: CSV, TSV, Parquet or JSON "
        "lines, a local path or a URL. Paths of media in it are relative to it."
    )
    out: str = Field("predictions", description="Folder below which each job has a folder of its own.")
    format: Format = Field("auto", description="How to read the table; auto goes by its name.")
    id: str | None = Field(
        None,
        description="Column with a unique name for each row; null takes the column 'id' if there is one, and "
        "numbers the rows if not.",
    )
    chunk_rows: int = Field(
        1024,
        ge=BATCH,
        multiple_of=BATCH,
        description="Rows that are read, scored and written at a time: memory grows with it, nothing else "
        "does. One Parquet part each.",
    )
    explain: bool = Field(
        False, description="Add share_<input>: what each input added to the answer, for up to 6 inputs."
    )
    max_bad: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest share of rows with an unusable input, or none at all, before the job stops.",
    )
    sql: SecretStr | None = Field(
        None,
        description="Database (SQLAlchemy URL) that the predictions are written to as well. ${NAME} stands "
        "for an environment variable, which keeps a password out of what is stored.",
    )
    table: str = Field("predictions", min_length=1, description="Table of that database; made if need be.")
