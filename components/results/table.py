"""Tables of a result: typed columns and rows, from which every renderer makes what its readers need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

DASH = "–"
_DIGITS = 4  # of a number after the point, in files
_SIGNIFICANT = 3  # of a p-value, in files

Kind = Literal["text", "flag", "number", "p", "range", "estimate"]


class Bounded(Protocol):
    """A value between two bounds, such as an interval or a gain."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


Cell = str | bool | float | Bounded | None
Result = TypeVar("Result")


@dataclass(frozen=True)
class Column:
    """One column of a table; the functions below make the kinds.

    Attributes:
        name: Heading; in files the name of the column.
        kind: ``range`` shows the bounds of a :class:`Bounded` cell, ``estimate`` its value too. Files have a
            column of its own for each of these numbers.
        form: Format of a number for people, as :func:`format` takes it; empty: as in files.
        brief: Heading in the terminal; empty: not in the terminal, where there is little room.
        bounds: Names of the two bounds in files.
        undefined: Text for a number that is not defined.
    """

    name: str
    kind: Kind
    form: str = ""
    brief: str = ""
    bounds: tuple[str, str] = ("low", "high")
    undefined: str = DASH

    @property
    def numeric(self) -> bool:
        """True for cells that are numbers, which stand to the right."""
        return self.kind not in ("text", "flag")

    def exact(self, cell: Any) -> dict[str, Any]:
        """A cell as files have it, by the names of their columns; None for what is not defined."""
        if self.kind not in ("range", "estimate"):
            return {self.name: self._rounded(cell)}
        low, high = (None, None) if cell is None else (cell.low, cell.high)
        bounds = dict(zip(self.bounds, (self._rounded(low), self._rounded(high)), strict=True))
        return bounds if self.kind == "range" else {self.name: self._rounded(_value(cell)), **bounds}

    def text(self, cell: Any) -> str:
        """A cell as people read it."""
        if self.kind == "flag":
            return "yes" if cell else "no"
        if self.kind == "text":
            return "" if cell is None else str(cell)
        value, bounded = _value(cell), self.kind in ("range", "estimate")
        if not _defined(value):
            return self.undefined
        if not bounded or not _defined(cell.low):
            return self.undefined if self.kind == "range" else self._formatted(value)
        low, high = self._formatted(cell.low), self._formatted(cell.high)
        return f"{low} … {high}" if self.kind == "range" else f"{self._formatted(value)} {low}…{high}"

    def _formatted(self, value: float) -> str:
        return format(value, self.form) if self.form else str(self._rounded(value))

    def _rounded(self, value: Any) -> Any:
        if not isinstance(value, float):
            return value
        if math.isnan(value):
            return None
        return float(f"{value:.{_SIGNIFICANT}g}") if self.kind == "p" else round(value, _DIGITS)


def text(name: str, brief: str | None = None) -> Column:
    """Make a column of words."""
    return Column(name, "text", brief=name if brief is None else brief)


def flag(name: str, brief: str | None = None) -> Column:
    """Make a column of yes and no."""
    return Column(name, "flag", brief=name if brief is None else brief)


def number(name: str, form: str = ".3f", brief: str | None = None, undefined: str = DASH) -> Column:
    """Make a column of numbers; an empty form shows counts and others as files have them."""
    return Column(name, "number", form, name if brief is None else brief, undefined=undefined)


def p_value(name: str) -> Column:
    """Make a column of probabilities under chance, of which the leading digits matter."""
    return Column(name, "p", brief=name)


def interval(
    name: str, form: str = ".3f", bounds: tuple[str, str] = ("low", "high"), undefined: str = DASH
) -> Column:
    """A column of bounds alone; their value has a column of its own."""
    return Column(name, "range", form, name, bounds, undefined)


def estimate(name: str, form: str = ".3f", bounds: tuple[str, str] = ("low", "high")) -> Column:
    """Make a column of values with their bounds."""
    return Column(name, "estimate", form, name, bounds)


@dataclass(frozen=True)
class Table:
    """Rows under typed columns.

    Attributes:
        caption: Sentence above the table in the dashboard.
        columns: From left to right.
        rows: A cell per column.
        title: A few words above the table in the terminal.
        marked: Positions of the rows that stand out.
        alarm: True where these are bad news.

    Raises:
        ValueError: A row has not a cell per column.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    marked: frozenset[int] = field(default_factory=frozenset)
    alarm: bool = False

    @classmethod
    def of(
        cls,
        caption: str,
        results: Iterable[Result],
        *columns: tuple[Column, Callable[[Result], Cell]],
        title: str = "",
        marked: Callable[[Result], bool] = lambda result: False,
        alarm: bool = False,
    ) -> Table:
        """Make a table with one row per result.

        Args:
            columns: Columns, each with the function that makes its cell of a result.
            marked: Test for results that stand out.
        """
        results = tuple(results)
        return cls(
            caption,
            tuple(column for column, _ in columns),
            tuple(tuple(cell(result) for _, cell in columns) for result in results),
            title,
            frozenset(position for position, result in enumerate(results) if marked(result)),
            alarm,
        )

    def __post_init__(self) -> None:
        for position, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"row {position} of table {self.title or self.caption!r} has {len(row)} cells, and there "
                    f"are {len(self.columns)} columns: give one cell per column"
                )

    def records(self) -> list[dict[str, Any]]:
        """The rows for files and for programs: typed, rounded, None for what is not defined."""
        return [
            {
                name: value
                for column, cell in zip(self.columns, row, strict=True)
                for name, value in column.exact(cell).items()
            }
            for row in self.rows
        ]

    @property
    def names(self) -> list[str]:
        """The keys of each of the records, in their order."""
        return [name for column in self.columns for name in column.exact(None)]

    def texts(self) -> list[list[str]]:
        """The rows for people."""
        return [
            [column.text(cell) for column, cell in zip(self.columns, row, strict=True)] for row in self.rows
        ]


def _value(cell: Any) -> Any:
    return getattr(cell, "value", cell)


def _defined(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
