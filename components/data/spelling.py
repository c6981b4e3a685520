"""Spelling of a column: one name for each value, whatever source and type its cells came from.

A cell alone cannot say if ``1.0`` is the number 1 or a version, or if ``True`` is a truth or a title. All
cells of a column together can, so the rule is learned from a column and kept with the model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import time
from decimal import Decimal
from typing import Any, Literal, Self, cast

from components.data.cells import UnusableCellError, is_moment, text_of, word_of
from components.data.dates import Order, read_date
from components.data.numbers import NumberForm

Kind = Literal["word", "number", "boolean", "moment"]

EMPTY = frozenset({
    "NA", "N/A", "n/a", "NaN", "nan", "-nan", "-NaN", "<NA>", "NaT", "NULL", "null", "None", "-", "--", "?",
    "#N/A", "#NA", "#NULL!", "#VALUE!", "#REF!", "#DIV/0!", "#NUM!", "#NAME?",
})  # fmt: skip
"""Words that stand for an empty cell, in columns of every kind; pandas reads most of them so too."""

VAGUE = frozenset({"na", "n/a", "nan", "null", "none", "nil", "missing", "unknown", "n.a.", "k.a.", "..."})
"""Words, in small letters, that may stand beside numbers and decide no kind."""

_TRUTHS = {"true": "true", "1": "true", "1.0": "true", "false": "false", "0": "false", "0.0": "false"}
_BITS = {"true": "1", "false": "0"}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?(e[+-][0-9]{1,3})?|-?inf", re.IGNORECASE)
_LONGEST = 40  # digits; a number of a larger power of ten keeps its exponent


@dataclass(frozen=True)
class Spelling:
    """Rule by which the cells of a column are spelled.

    Attributes:
        kind: ``boolean`` gives ``true`` and ``false``; ``number`` plain digits without zeros at the end;
            ``moment`` and ``word`` leave the word as :func:`components.data.cells.word_of` gives it.
        numbers: Form in which text holds numbers; None where :func:`plain_number` reads them all.
        dates: Order of day and month in a column of dates that a table reads; None elsewhere.
        empty: Words that stand for an empty cell.
    """

    kind: Kind = "word"
    numbers: NumberForm | None = None
    dates: Order | None = None
    empty: frozenset[str] = EMPTY

    def to_json(self) -> dict[str, Any]:
        """Describe the rule by plain values; see :meth:`from_json`."""
        facts: dict[str, Any] = {"kind": self.kind}
        if self.numbers is not None:
            facts |= asdict(self.numbers)
        if self.dates is not None:
            facts["dates"] = self.dates
        return facts if self.empty == EMPTY else {**facts, "empty": sorted(self.empty)}

    @classmethod
    def from_json(cls, facts: str | dict[str, Any]) -> Self:
        """Read a rule; an earlier braid kept the kind alone, and took no word for an empty cell."""
        if isinstance(facts, str):
            return cls(cast(Kind, facts), empty=frozenset())
        numbers = NumberForm(facts["decimal"], facts["unit"]) if "decimal" in facts else None
        return cls(facts["kind"], numbers, facts.get("dates"), frozenset(facts.get("empty", EMPTY)))

    def __str__(self) -> str:
        """The rule in words, for people."""
        if self.numbers is not None:
            mark = "comma" if self.numbers.decimal == "," else "point"
            return f"number, decimal {mark}" + (f", in {self.numbers.unit}" if self.numbers.unit else "")
        if self.dates is not None:
            return f"date, {self.dates.replace('-', ' ')}"
        return {"word": "words", "number": "number", "boolean": "true or false", "moment": "date"}[self.kind]

    def is_empty(self, value: Any) -> bool:
        """Return True for a word that stands for an empty cell."""
        return isinstance(value, str) and value.strip() in self.empty

    def name(self, value: Any) -> str | None:
        """Spell a cell that names something.

        Args:
            value: The cell, of any type.

        Returns:
            The name; None for an empty cell.

        Raises:
            TypeError: If the cell holds bytes.
            UnusableCellError: If the text holds a lone surrogate; or if it is no date, or a number with
                another unit, in a column of a table that holds these.
        """
        word = word_of(value)
        if word is None or self.is_empty(value):
            return None
        if self.dates is not None:
            return read_date(word, self.dates)
        if self.numbers is not None and isinstance(value, str | time):
            if self.numbers.takes(word) and (plain := plain_number(word)) is not None:
                return plain
            number = self.numbers.read(word)
            return word if number is None else plain_number(str(number)) or word
        match self.kind:
            case "boolean":
                return _TRUTHS.get(word.lower(), word)
            case "number":
                # Other sources give 1 and 0 for a truth, such as SQLite.
                return plain_number(word) or _BITS.get(word.lower(), word)
            case _:
                return word

    def text(self, value: Any) -> str | None:
        """Spell a cell of running text in composed letters; words keep the space around them.

        See :meth:`name` for argument, result and errors.
        """
        if self.is_empty(value):
            return None
        if self.kind != "word" and self.numbers is None and self.dates is None:
            return self.name(value)
        text = text_of(value)
        return text if text is None or text.isascii() else unicodedata.normalize("NFC", text)

    def cell(self, value: Any) -> Any:
        """Read a cell of a table: as :meth:`name` spells it, but a number as one.

        A number is read once: ``1.250`` with a decimal comma is 1250, whose text would be read again. See
        :meth:`name` for argument and errors.
        """
        name = self.name(value)
        return typed(name) if self.kind == "number" else name

    def names(self, names: Iterable[str]) -> tuple[str, ...] | None:
        """Spell names that differ; None if two of them became one."""
        spelled = tuple(str(self.name(name)) for name in names)
        return spelled if len(set(spelled)) == len(spelled) else None


class SpellingGuess:
    """Kind of a column, from its cells in any number of parts.

    Empty cells decide nothing. All others must agree: with one word among them it is a column of words.
    """

    def __init__(self) -> None:
        self._possible: set[Kind] = {"number", "boolean", "moment"}
        self._filled = self._has_truth = False

    @property
    def is_open(self) -> bool:
        """True while the column may be something else than words."""
        return bool(self._possible)

    @property
    def spelling(self) -> Spelling:
        """The rule for the cells so far."""
        if not self._filled or not self._possible:
            return Spelling()
        if "boolean" in self._possible and self._has_truth:
            return Spelling("boolean")
        return Spelling(next((kind for kind in ("number", "moment") if kind in self._possible), "word"))

    def add(self, cells: Iterable[Any]) -> SpellingGuess:
        """Look at further cells; one that cannot be used decides nothing."""
        for cell in cells:
            if not self._possible:
                break
            try:
                word = word_of(cell)
            except (TypeError, UnusableCellError):
                continue
            if word is not None and word not in EMPTY and word.lower() not in VAGUE:
                self.look(word)
        return self

    def look(self, word: str) -> None:
        """Look at a filled cell as :func:`components.data.cells.word_of` gives it."""
        self._filled = True
        lower = word.lower()
        self._has_truth |= lower in _BITS
        if lower not in _TRUTHS:
            self._possible.discard("boolean")
        if "number" in self._possible and plain_number(word) is None:
            self._possible.discard("number")
        if "moment" in self._possible and not is_moment(word):
            self._possible.discard("moment")


def typed(name: str | None) -> Any:
    """Convert a number that :class:`Spelling` has spelled to one; other names stay as they are.

    A rule reads text alone, so a cell that is given to another model is not read a second time.
    """
    if name is None or plain_number(name) != name or name in ("inf", "-inf"):
        return name
    number = float(name) if "." in name or "e" in name else int(name)
    return number if plain_number(repr(number)) == name else name


def identity(value: Any) -> str:
    """Name a row or a group by its cell, alike in every table: 1, ``1.0`` and ``true`` are one.

    See :meth:`Spelling.name` for the errors; an empty cell gives "".
    """
    return Spelling("number", empty=frozenset()).name(value) or ""


def guess_spelling(cells: Iterable[Any]) -> Spelling:
    """Return the rule for a column with these cells."""
    return SpellingGuess().add(cells).spelling


def plain_number(word: str) -> str | None:
    """Spell a number in plain digits; None for a word that is none.

    ``1``, ``1.0`` and ``1.`` become ``1``; ``1.50`` becomes ``1.5``; ``1e-05`` becomes ``0.00001``. A leading
    zero, a plus sign, or an exponent without sign belongs to a code, not a number.
    """
    match = _NUMBER.fullmatch(word)
    if match is None:
        return None
    whole, fraction, exponent = match.groups()
    if whole is None:
        return word.lower()
    if exponent is not None:
        number = Decimal(word)
        if abs(number.adjusted()) > _LONGEST:
            return format(number.normalize(), "e")
        word = format(number, "f")
    if fraction is not None or exponent is not None:
        word = word.rstrip("0").rstrip(".") if "." in word else word
    return "0" if word == "-0" else word
