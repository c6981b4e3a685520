"""One column of a table: numeric, boolean, datetime or categorical."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from components.data.guess import FITS, CodeGuess
from components.data.spelling import Spelling, guess_spelling
from components.preprocess.values import ISO, is_missing, to_boolean, to_datetime, to_number

ColumnState = dict[str, Any]

_WORDS = 4096
_MANY = 32  # values beyond which those of a single row are rare


class Column(Protocol):
    """A fitted column.

    Attributes:
        numbers: Numbers it gives for a cell; 0 for categories.
        codes: Codes of its categories, 0 included; 0 for numbers.
        spelling: Rule by which its words are spelled; None for numbers and dates.
    """

    @property
    def numbers(self) -> int: ...
    @property
    def codes(self) -> int: ...
    @property
    def spelling(self) -> Spelling | None: ...
    @classmethod
    def fit(cls, values: Iterable[Any], max_categories: int) -> Self: ...
    def state(self) -> ColumnState: ...
    @classmethod
    def from_state(cls, state: ColumnState) -> Self: ...
    def encode(self, value: Any) -> list[float]:
        """Scaled numbers (NaN where missing), or one code."""
        ...


@dataclass(frozen=True)
class Numeric:
    """Distance from the median in robust deviations, far values drawn in smoothly to at most ±3.

    The deviation is the interquartile range / 1.349; where that is 0 the standard deviation, and
    where that is 0 too, 1. The smooth clip x / sqrt(1 + (x/3)²) is that of RealMLP (Holzmüller et al.
    2024, "Better by default", section 3).
    """

    median: float
    scale: float
    numbers: ClassVar[int] = 1
    codes: ClassVar[int] = 0
    spelling: ClassVar[None] = None

    @classmethod
    def fit(cls, values: Iterable[Any], max_categories: int) -> Self:
        numbers = (number for number in map(to_number, values) if number is not None)
        return cls(*_centre_and_scale(np.fromiter(numbers, float)))

    def state(self) -> ColumnState:
        return {"type": "numeric", **asdict(self)}

    @classmethod
    def from_state(cls, state: ColumnState) -> Self:
        return cls(state["median"], state["scale"])

    def encode(self, value: Any) -> list[float]:
        return [_scaled(to_number(value), self.median, self.scale)]


@dataclass(frozen=True)
class Boolean:
    """True is 1, false is -1."""

    numbers: ClassVar[int] = 1
    codes: ClassVar[int] = 0
    spelling: ClassVar[Spelling] = Spelling("boolean")

    @classmethod
    def fit(cls, values: Iterable[Any], max_categories: int) -> Self:
        return cls()

    def state(self) -> ColumnState:
        return {"type": "boolean"}

    @classmethod
    def from_state(cls, state: ColumnState) -> Self:
        return cls()

    def encode(self, value: Any) -> list[float]:
        truth = to_boolean(value)
        return [math.nan if truth is None else 1.0 if truth else -1.0]


@dataclass(frozen=True)
class Datetime:
    """Days since 1970 and the year, both scaled; month, weekday and hour each as a point on a circle.

    Times with a zone are taken in UTC, others as they stand.
    """

    day: tuple[float, float]
    year: tuple[float, float]
    format: str = ISO  # a model of an earlier braid has others
    numbers: ClassVar[int] = 8
    codes: ClassVar[int] = 0
    spelling: ClassVar[None] = None

    @classmethod
    def fit(cls, values: Iterable[Any], max_categories: int) -> Self:
        moments = (moment for value in values if (moment := to_datetime(value)) is not None)
        both = np.fromiter(((_days(moment), moment.year) for moment in moments), np.dtype((float, 2)))
        return cls(_centre_and_scale(both[:, 0]), _centre_and_scale(both[:, 1]))

    def state(self) -> ColumnState:
        return {"type": "datetime", "format": self.format, "day": list(self.day), "year": list(self.year)}

    @classmethod
    def from_state(cls, state: ColumnState) -> Self:
        (day, day_scale), (year, year_scale) = state["day"], state["year"]
        return cls((day, day_scale), (year, year_scale), state["format"])

    def encode(self, value: Any) -> list[float]:
        moment = to_datetime(value, self.format)
        if moment is None:
            return [math.nan] * self.numbers
        return [
            _scaled(_days(moment), *self.day),
            _scaled(moment.year, *self.year),
            *_circle((moment.month - 1) / 12),
            *_circle(moment.weekday() / 7),
            *_circle((moment.hour + moment.minute / 60) / 24),
        ]


@dataclass(frozen=True)
class Categorical:
    """Most frequent values as codes from 1; 0 is missing, and the last code rare or not seen in training.

    In a column of more than 32 values one that a single training row has is rare. So training knows what is
    unseen later.

    Attributes:
        categories: Names of the values, the most frequent first.
        spelling: Rule by which a cell is spelled, so that ``1`` of any type is one category.
        rare: Number of training cells with a rare value; None in a model of an earlier braid, whose code 0
            is also that of rare and unseen values.
    """

    categories: tuple[str, ...]
    spelling: Spelling
    rare: int | None = None
    numbers: ClassVar[int] = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "_code", {name: code for code, name in enumerate(self.categories, start=1)})

    @property
    def codes(self) -> int:
        """Categories, the code 0, and that of rare and unseen values."""
        return len(self.categories) + (1 if self.rare is None else 2)

    @classmethod
    def fit(cls, values: Iterable[Any], max_categories: int) -> Self:
        spelling = guess_spelling(values)
        names = (name_of(value, spelling) for value in values)
        counts = Counter(name for name in names if name is not None)
        ranked = sorted(counts, key=lambda category: (-counts[category], category))
        fewest = 2 if len(ranked) > _MANY else 1
        frequent = [category for category in ranked[:max_categories] if counts[category] >= fewest]
        return cls(tuple(frequent), spelling, counts.total() - sum(counts[category] for category in frequent))

    def state(self) -> ColumnState:
        return {
            "type": "categorical",
            "categories": list(self.categories),
            "spelling": self.spelling.kind,
            "rare": self.rare,
        }

    @classmethod
    def from_state(cls, state: ColumnState) -> Self:
        categories = tuple(state["categories"])
        if "spelling" in state:
            return cls(categories, Spelling(state["spelling"]), state.get("rare"))
        guessed = guess_spelling(categories)  # as a model of an earlier braid has no rule
        names = guessed.names(categories)
        return cls(categories, Spelling()) if names is None else cls(names, guessed)

    def encode(self, value: Any) -> list[float]:
        codes: dict[str | None, int] = self._code  # type: ignore[attr-defined]
        name = name_of(value, self.spelling)
        unseen = 0 if name is None or self.rare is None else self.codes - 1
        return [float(codes.get(name, unseen))]


def name_of(value: Any, spelling: Spelling) -> str | None:
    """Spell the cell of a category; None for an empty cell, and for one that no table can hold."""
    try:
        return spelling.name(value)
    except TypeError:
        return None


COLUMNS: dict[str, type[Column]] = {
    "numeric": Numeric,
    "boolean": Boolean,
    "datetime": Datetime,
    "categorical": Categorical,
}


def guess_type(name: str, values: Iterable[Any]) -> str:
    """Type that at least 95 % of the filled cells have; categorical if none fits, and for codes.

    0 and 1 alone are numeric, which scales them just as well.

    Args:
        name: Name of the column, which may tell a code.
        values: Cells, which are gone through several times.
    """
    code = CodeGuess(name)
    for value in values:
        if not is_missing(value):
            code.add(str(value), to_number(value) is not None)
    share = _share(values, to_number)
    if math.isnan(share) or code.is_code:
        return "categorical"
    if share >= FITS:
        return "numeric"
    if _share(values, to_boolean) >= FITS:
        return "boolean"
    return "datetime" if _share(values, to_datetime) >= FITS else "categorical"


def _share(values: Iterable[Any], parse: Callable[[Any], Any]) -> float:
    """Share of the filled cells that can be parsed; NaN where none is filled."""
    known: dict[str, bool] = {}  # of words, which come again and again
    filled = parsed = 0
    for value in values:
        if is_missing(value):
            continue
        filled += 1
        if not isinstance(value, str):
            parsed += parse(value) is not None
        elif (fits := known.get(value)) is not None:
            parsed += fits
        else:
            fits = parse(value) is not None
            parsed += fits
            if len(known) < _WORDS:
                known[value] = fits
    return parsed / filled if filled else math.nan


def _centre_and_scale(values: np.ndarray) -> tuple[float, float]:
    if not len(values):
        return 0.0, 1.0
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(median), float((high - low) / 1.349 or np.std(values) or 1.0)


def _scaled(value: float | None, centre: float, scale: float) -> float:
    if value is None:
        return math.nan
    x = min(max((value - centre) / scale, -1e9), 1e9)
    return x / math.sqrt(1 + (x / 3) ** 2)


def _circle(turn: float) -> tuple[float, float]:
    return math.sin(2 * math.pi * turn), math.cos(2 * math.pi * turn)


def _days(moment: datetime) -> float:
    return (moment - datetime(1970, 1, 1)).total_seconds() / 86400
