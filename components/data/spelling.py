"""Spelling of a column: one name for each value, whatever source and type its cells came from.

A cell alone cannot say if ``1.0`` is the number 1 or a version, or if ``True`` is a truth or a title. All
cells of a column together can, so the rule is learned from a column and kept with the model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from components.data.cells import UnusableCellError, is_moment, text_of, word_of

Kind = Literal["word", "number", "boolean", "moment"]

_EMPTY = frozenset({"na", "n/a", "#n/a", "nan", "<na>", "nat", "null", "none"})  # they decide no kind
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
    """

    kind: Kind = "word"

    def name(self, value: Any) -> str | None:
        """Spell a cell that names something.

        Args:
            value: The cell, of any type.

        Returns:
            The name; None for an empty cell.

        Raises:
            TypeError: If the cell holds bytes.
            NotUnicodeError: If the text holds a lone surrogate.
        """
        word = word_of(value)
        if word is None:
            return None
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
        if self.kind != "word":
            return self.name(value)
        text = text_of(value)
        return text if text is None or text.isascii() else unicodedata.normalize("NFC", text)

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
            if word is not None and word.lower() not in _EMPTY:
                self._look(word)
        return self

    def _look(self, word: str) -> None:
        self._filled = True
        lower = word.lower()
        self._has_truth |= lower in _BITS
        if lower not in _TRUTHS:
            self._possible.discard("boolean")
        if "number" in self._possible and plain_number(word) is None:
            self._possible.discard("number")
        if "moment" in self._possible and not is_moment(word):
            self._possible.discard("moment")


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
