"""Section ``data`` of a pipeline file: source and splits of the samples."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from components.config.durations import is_duration, is_long, time_zone
from components.config.section import Section

_PASSWORD = re.compile(r"[^/]+://[^/@]*:(?!\$\{)[^/]*@")
Format = Literal[
    "auto", "csv", "tsv", "parquet", "arrow", "orc", "jsonl", "excel", "delta", "iceberg", "folder",
    "huggingface", "sql", "demo",
]  # fmt: skip


class SplitConfig(Section):
    """Division of the rows into train, val and test."""

    by: Literal["draw", "time"] = Field(
        "draw",
        description="draw gives each row a number that decides; time takes the newest labelled rows "
        "(data.time) for the test, those before them for validation and the rest for training.",
    )
    column: str | None = Field(
        None, description="Column that holds train, val or test; null draws rows at random by fraction."
    )
    val: float | str = Field(
        0.15,
        description="Fraction of rows (or groups) for validation, met on average by a draw; with by: time "
        "also a period such as 14d.",
    )
    test: float | str = Field(
        0.2,
        description="Fraction of rows (or groups) for the test, met on average by a draw; with by: time also "
        "a period such as 28d, counted back from the newest labelled row.",
    )
    gap: str = Field(
        "0d",
        description="Period before validation and before the test whose rows are left out, with by: time.",
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

    @field_validator("val", "test")
    @classmethod
    def _is_a_share_or_period(cls, part: float | str) -> float | str:
        if isinstance(part, str):
            return is_long(part)
        if not 0 < part < 1:
            raise ValueError(f"{part:g} is not a fraction between 0 and 1, nor a period such as 14d")
        return part

    @field_validator("gap")
    @classmethod
    def _is_a_period(cls, gap: str) -> str:
        return is_duration(gap)

    @property
    def fractions(self) -> tuple[float, float]:
        """Fractions of validation and test, of which a draw has both."""
        assert isinstance(self.val, float)
        assert isinstance(self.test, float)
        return self.val, self.test

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> SplitConfig:
        both = isinstance(self.val, float) and isinstance(self.test, float)
        if both and sum(self.fractions) >= 1:
            raise ValueError(f"val + test must leave rows for training, got {self.val} + {self.test}")
        return self

    @model_validator(mode="after")
    def _periods_are_of_time(self) -> SplitConfig:
        if self.by == "time" and self.column is not None:
            raise ValueError("a column gives the split already; leave out column, or by: time")
        if self.by == "draw" and (isinstance(self.val, str) or isinstance(self.test, str)):
            raise ValueError("a period is for by: time; a draw takes a fraction, such as 0.15")
        if self.by == "draw" and self.gap != "0d":
            raise ValueError("gap is for by: time")
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
    time: str | None = Field(
        None,
        description="Column with the time of each row: dates, ISO 8601, or seconds since 1970. A row without "
        "one goes to quarantine. null: rows have no time.",
    )
    timezone: str = Field("UTC", description="Time zone of times that name none, such as Europe/Vienna.")
    window: str | None = Field(
        None, description="Period before the newest labelled row outside of which no row is used; null: all."
    )
    as_of: str | None = Field(
        None,
        description="Day or moment as of which the data are seen, such as 2026-03-01: without later rows, "
        "and without later labels where labelled_at is given. A day counts to its end.",
    )
    labelled_at: str | None = Field(
        None,
        description="Column with the time at which a row got its label, read with as_of. A label without one "
        "is not known as of any day.",
    )
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

    @field_validator("timezone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        return time_zone(name)

    @field_validator("window")
    @classmethod
    def _is_a_period(cls, window: str | None) -> str | None:
        return window and is_long(window)

    @field_validator("as_of", mode="before")
    @classmethod
    def _is_a_day_or_moment(cls, value: Any) -> Any:
        if isinstance(value, date):  # as YAML reads it; a datetime is one too
            return value.isoformat()
        if isinstance(value, str):
            try:
                datetime.fromisoformat(value)
            except ValueError:
                raise ValueError(f"{value!r} is no day or moment such as 2026-03-01") from None
        return value

    @model_validator(mode="after")
    def _periods_need_times(self) -> DataConfig:
        wanting = [name for name in ("window", "as_of") if getattr(self, name) is not None]
        wanting += ["split.by: time"] * (self.split.by == "time")
        if wanting and self.time is None:
            raise ValueError(f"{wanting[0]} needs the column with the times of the rows: set data.time")
        return self

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
