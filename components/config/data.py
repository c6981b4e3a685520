"""Section ``data`` of a pipeline file: source and splits of the samples."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from components.config.section import Section

_PASSWORD = re.compile(r"[^/]+://[^/@]*:(?!\$\{)[^/]*@")
Format = Literal[
    "auto", "csv", "tsv", "parquet", "arrow", "orc", "jsonl", "excel", "delta", "iceberg", "folder",
    "huggingface", "sql", "demo",
]  # fmt: skip


class SplitConfig(Section):
    """Division of the rows into train, val and test."""

    column: str | None = Field(
        None, description="Column that holds train, val or test; null draws rows at random by fraction."
    )
    val: float = Field(
        0.15, gt=0, lt=1, description="Fraction of rows (or groups) drawn for validation, met on average."
    )
    test: float = Field(
        0.2, gt=0, lt=1, description="Fraction of rows (or groups) drawn for the test, met on average."
    )
    seed: int = Field(
        0,
        ge=0,
        description="Seed of the draw. It is not that of training, and a row stays in its split as the table "
        "grows, so that a champion is judged on rows that it has not learned from.",
    )
    stratify: bool = Field(
        True,
        description="Let train and validation exchange rows, so that both have rare classes where they can. "
        "Test rows stay. false fills train alone.",
    )
    group: str | None = Field(
        None, description="Column of groups (speaker, patient, ...), each of which stays in one split."
    )

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> SplitConfig:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test must leave rows for training, got {self.val} + {self.test}")
        return self


class ColumnConfig(Section):
    """Reading of a column's cells, where the guess is wrong."""

    decimal: Literal[".", ","] | None = Field(
        None, description="Decimal mark of numbers in text; null takes the one that the cells show."
    )
    dates: Literal["day-first", "month-first"] | None = Field(
        None, description="Order of day and month where both are numbers; null takes the one that dates show."
    )
    empty: list[str] | None = Field(
        None,
        description="Words that stand for an empty cell; [] keeps every word, as for the country code NA; "
        "null takes NA, NaN, null, None, -, ? and their like.",
    )


class DataConfig(Section):
    """Manifest: a table with a row per sample."""

    source: str = Field(
        description="File, folder, Hugging Face dataset id, or SQLAlchemy URL of a database (with `query`). "
        "A relative path is looked up beside the pipeline file, then in the working directory."
    )
    format: Format = Field("auto", description="Format of the source; auto chooses by its name.")
    encoding: str = Field(
        "auto",
        description="Encoding of a text file, such as cp1252 or utf-16. With auto its mark decides; "
        "else it is UTF-8 if all bytes are valid, else an older encoding by its letters: see `braid check`.",
    )
    sheet: str | None = Field(None, description="Sheet of an Excel workbook; null takes the first.")
    query: str | None = Field(
        None,
        description="SELECT whose rows are the manifest, if the source is a database. In its URL `${NAME}` "
        "is "
        "replaced by the environment variable, so that the file needs no password.",
    )
    id: str | None = Field(
        "id",
        description="Column with a unique id per row; null numbers the rows, as does a folder, demo or "
        "huggingface source without this column. A numbered row is known by its content.",
    )
    roots: list[str] = Field(
        [],
        description="Folders (relative to the pipeline file) and URLs whose files the manifest may name, "
        "besides those in its own folder. A path that leads elsewhere, also by .. or a link, is quarantined.",
    )
    split: SplitConfig = Field(default_factory=SplitConfig, description="Division into train, val and test.")
    columns: dict[str, ColumnConfig] = Field(
        {}, description="Reading of numbers, dates and empty cells by column, where the guess is wrong."
    )
    max_bad: float = Field(
        0.05, ge=0, le=1, description="Largest share of rows that may be unusable before the run stops."
    )
    allow_missing_files: bool = Field(
        False,
        description="Treat a media file that does not exist as a missing input, not as a bad sample.",
    )

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name != "auto":
            try:
                "".encode(name)
            except LookupError:
                raise ValueError(
                    f"{name!r} is no encoding that Python knows, such as utf-8, cp1252, utf-16"
                ) from None
        return name

    @model_validator(mode="after")
    def _a_database_is_asked(self) -> DataConfig:
        if self.query is None and self.format == "sql":
            raise ValueError("format: sql takes a query, such as query: select * from shoes order by id")
        if self.query is not None and self.format not in ("auto", "sql"):
            raise ValueError(f"a query is for a database, but format is {self.format}; remove one of them")
        if self.query is not None and _PASSWORD.match(self.source):
            raise ValueError(
                "the source holds a password, and this file is stored with each run: write ${NAME} instead "
                "and set that environment variable"
            )
        return self
