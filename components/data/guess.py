"""Guess how a column of a table is read: as numbers of one form, dates of one order, truths or words."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, time
from typing import Any, Literal

from components.config.data import ColumnConfig
from components.data.cells import UnusableCellError, word_of
from components.data.dates import Order, is_date, order_of
from components.data.numbers import EXACT, KNOWN_UNITS, Mark, NumberForm, parse_number
from components.data.spelling import EMPTY, VAGUE, Spelling, SpellingGuess

FITS = 0.95  # share of filled cells that must be of a kind; the rest are slips of the pen
_ENOUGH = 4096  # filled cells after which a column of words is known as one
_ALWAYS_CODES = {
    "zip", "zipcode", "plz", "postcode", "postleitzahl", "iban", "isbn", "issn", "ean", "gtin", "upc", "sku",
    "ssn", "icd", "icd9", "icd10", "barcode", "imei", "uuid", "fips",
}  # fmt: skip
_CODES_AT_THE_END = {"id", "code", "nr", "no", "key", "phone", "telephone", "telefon", "tel", "fax"}
_ENDS = ("nummer", "number", "code")
_ZONE = re.compile(r"(Z|UTC|GMT|:[0-9]{2}[+-][0-9:]{4,5})$")
_SHOWN = 40  # characters
_CODE_DIGITS = 9  # a number of as many digits in every row is a code, unless it is a time
_REPEATED = 60  # cells from which on it can be said that numbers repeat
_GAP = 20  # mean distance of two numbers of which a column has few
_YEAR_OR_DAY = re.compile(r"(1[6-9]|20|21)[0-9]{2}((0[1-9]|1[0-2])[0-9]{2})?")
_FIRST, _LAST = 946_684_800, 2_208_988_800  # seconds since 1970 in the years 2000 and 2040

Wanted = Literal["numeric", "datetime"]


@dataclass(frozen=True)
class Reading:
    """Reading of a column.

    Attributes:
        spelling: The rule.
        findings: What was decided without being certain.
        is_code: The digits of the column name something.
    """

    spelling: Spelling
    findings: tuple[str, ...] = ()
    is_code: bool = False

    def __str__(self) -> str:
        """The rule in words, for people."""
        return "code, a category" if self.is_code else str(self.spelling)


class TableGuess:
    """Rule of a column of a table, from its cells in any number of parts.

    Args:
        name: Name of the column.
        wanted: Type that the configuration gives; None to guess it.
        options: What the configuration says of the cells.
    """

    def __init__(self, name: str, wanted: Wanted | None, options: ColumnConfig) -> None:
        self.name, self.wanted, self.options = name, wanted, options
        self._words = SpellingGuess()
        self._filled = self._numbers = self._dates = 0
        self._code = CodeGuess(name)
        self._marks: Counter[Mark] = Counter()
        self._units: Counter[str] = Counter()
        self._orders: Counter[Order] = Counter()
        self._usual: Counter[Order] = Counter()
        self._zoned: Counter[bool] = Counter()
        self._either: str | None = None  # the first number of which the text cannot tell the decimal mark
        self._other: Counter[str] = Counter()  # neither numbers nor dates

    @property
    def is_open(self) -> bool:
        """True while the column may be something else than words."""
        hopeless = self._filled >= _ENOUGH and max(self._numbers, self._dates) < self._filled / 2
        return self.wanted is not None or self._words.is_open or not hopeless

    @property
    def mark(self) -> Mark | None:
        """Decimal mark that the cells show; None where they show none."""
        return max(self._marks, key=lambda mark: self._marks[mark], default=None)

    def add(self, cells: Iterable[Any]) -> "TableGuess":
        """Look at further cells; one that cannot be used decides nothing."""
        for cell in cells:
            try:
                word = word_of(cell)
            except (TypeError, UnusableCellError):
                continue
            if word is not None and word not in EMPTY and word.lower() not in VAGUE:
                self._look(word, isinstance(cell, str | time), isinstance(cell, date))
        return self

    def _look(self, word: str, is_text: bool, is_moment: bool) -> None:
        """Look at a filled cell; a number or moment of the source's own needs no form."""
        self._filled += 1
        if self._words.is_open:
            self._words.look(word)
        number = None if is_moment else parse_number(word)
        self._code.add(word, number is not None)
        if number is not None:
            self._numbers += 1
            if is_text:
                self._units[number.unit] += 1
                if number.mark is not None:
                    self._marks[number.mark] += 1
                elif number.point != number.comma:
                    self._either = self._either or word
        elif is_moment or is_date(word):
            self._dates += 1
            self._zoned[_ZONE.search(word) is not None] += 1
            shown, usual = order_of(word)
            self._orders.update([shown] if shown else [])
            self._usual.update([usual] if usual else [])
        elif len(self._other) < _ENOUGH:
            self._other[word[:_SHOWN]] += 1

    def reading(self, decimal: Mark) -> Reading:
        """Give the rule, and what a person should know of it.

        Args:
            decimal: Decimal mark where neither the cells nor the configuration tell.
        """
        read = self._reading(decimal)
        spelling = replace(read.spelling, empty=empty_words(self.options))
        return replace(
            read, spelling=spelling, findings=tuple(f"{self.name}: {each}" for each in read.findings)
        )

    def _reading(self, decimal: Mark) -> Reading:
        words = self._words.spelling
        unit, apart = self._unit()
        if self.wanted is None:
            if self._code.is_code:
                return Reading(words, (_REPEATS,) * self._code.repeats, is_code=True)
            if words.kind == "boolean" or not self._filled:
                return Reading(words)
            if self._dates >= FITS * self._filled:
                return self._dated()
            if self._numbers < FITS * self._filled:
                return Reading(words)
            if apart > (1 - FITS) * self._numbers:
                units = [unit for unit in self._units if unit]
                # 1A and 2B are no amperes and bytes.
                known = all(unit in KNOWN_UNITS for unit in units) and any(
                    len(unit) > 1 or unit in EXACT for unit in units
                )
                finding = f"several units ({self._listed()}), so the cells are read as words. {_ONE_UNIT}"
                return Reading(words, (finding,) * known)
        if self.wanted == "datetime":
            return self._dated()
        form = NumberForm(self.options.decimal or self.mark or decimal, unit) if self._units else NumberForm()
        return Reading(Spelling("number", form), tuple(self._doubts(form, apart)))

    def _unit(self) -> tuple[str, int]:
        """Choose the unit of the most cells; count the cells that have another one."""
        named = Counter({unit: count for unit, count in self._units.items() if unit})
        if not named:
            return "", 0
        (unit, count), *_ = named.most_common(1)
        bare = self._units[""]
        if unit in EXACT:  # 12 % and 0.12 are not of one kind, 12 kg and 12 are
            if bare > count:
                return "", named.total()
            return unit, named.total() - count + bare
        return unit, named.total() - count

    def _listed(self) -> str:
        return ", ".join(f"{unit or 'none'} {count}" for unit, count in self._units.most_common(4))

    def _doubts(self, form: NumberForm, apart: int) -> Iterator[str]:
        """Say what was decided without being certain."""
        point, comma = self._marks["."], self._marks[","]
        either = "one that may have either"
        read = f"read with a decimal {'comma' if form.decimal == ',' else 'point'}"
        if point and comma:
            yield f"{comma} numbers have a decimal comma, {point} a decimal point; {either} is {read}"
        elif self._either and not (point or comma) and self.options.decimal is None:
            yield (
                f"no number shows its decimal mark; {self._either} is {read}, as {form.read(self._either)} "
                f"(to change it: data.columns.{self.name}.decimal)"
            )
        if apart:
            unit = form.unit or "none"
            yield f"{apart} cells have another unit than {unit} ({self._listed()}). {_ONE_UNIT}"
        elif form.unit and self._units[""]:
            yield f"{self._units['']} cells without a unit are read as {form.unit}"
        if self._other:
            (word, _), *_ = self._other.most_common(1)
            yield f"{self._other.total()} cells such as {word!r} are no numbers, and are read as empty"

    def _dated(self) -> Reading:
        """Give the rule of a column of dates."""
        order: Order | None = self.options.dates
        findings = []
        if order is None:
            counted = self._orders or self._usual
            order = next((each for each, _ in counted.most_common(1)), "year-first")
            if len(self._orders) > 1:
                counts = ", ".join(f"{each} {count}" for each, count in self._orders.most_common())
                findings.append(f"dates of both orders ({counts}); read {order}")
            elif self._usual and not self._orders:
                findings.append(
                    f"no date shows if the day or the month is first; read {order} "
                    f"(to change it: data.columns.{self.name}.dates)"
                )
        if len(self._zoned) > 1:
            findings.append(f"{self._zoned[False]} times without a zone stand beside others; read in UTC")
        return Reading(Spelling("moment", dates=order), tuple(findings))


_REPEATS = (
    "few numbers of as many digits repeat, so they are read as codes, a category (to change it: the input's "
    "types)"
)
_ONE_UNIT = "Bring the cells to one unit"


def empty_words(options: ColumnConfig) -> frozenset[str]:
    """Return the words that stand for an empty cell of a column."""
    return EMPTY if options.empty is None else frozenset(options.empty)


class CodeGuess:
    """Guess if the digits of a column name something, such as a zip code, and measure nothing.

    Codes are known by the name of the column; by a zero in front; by as many digits in every row, at least
    nine; or, of four to eight digits, by few numbers that come again and again and are far from each other.
    """

    def __init__(self, name: str) -> None:
        words = [part.casefold() for part in re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", name) if part]
        self._by_name = bool(_ALWAYS_CODES & set(words))
        last = words[-1] if words else ""
        self._by_end = last in _CODES_AT_THE_END or (last.endswith(_ENDS) and words != ["number"])
        self._has_zero = self._measures = False
        self._widths: set[int] = set()
        self._cells = 0
        self._known: set[str] = set()

    def add(self, word: str, is_number: bool) -> None:
        """Look at a filled cell.

        Args:
            word: The cell.
            is_number: True if it can be read as a number.
        """
        digits = word.removesuffix(".0")
        if not (digits.isdecimal() and digits.isascii()):
            self._measures |= is_number  # a sign, a fraction, a unit
            return
        self._has_zero |= len(digits) > 1 and digits[0] == "0"
        self._cells += 1
        if len(self._known) < _ENOUGH:
            self._known.add(digits)
        if len(digits) < _CODE_DIGITS:
            self._widths.add(0)
        elif len(self._widths) < 2:
            is_time = any(
                _FIRST * unit <= int(digits[:20]) <= _LAST * unit for unit in (1, 10**3, 10**6, 10**9)
            )
            self._widths.add(0 if is_time else len(digits))

    @property
    def is_code(self) -> bool:
        """True if the cells so far are codes."""
        one_width = len(self._widths) == 1 and 0 not in self._widths
        shown = self._by_end or one_width or self.repeats
        return self._by_name or self._has_zero or (not self._measures and shown)

    @property
    def repeats(self) -> bool:
        """True if the cells have one length, and few numbers, each again and again, leave wide gaps.

        What is measured is either dense, or rounded so that most numbers end in the same digit; years and
        days as ``20240131`` are no codes.
        """
        known = self._known
        if self._cells < _REPEATED or not 2 <= len(known) < _ENOUGH or len(known) * 3 > self._cells:
            return False
        widths = {len(digits) for digits in known}
        if len(widths) > 1 or not 4 <= min(widths) < _CODE_DIGITS or all(map(_YEAR_OR_DAY.fullmatch, known)):
            return False
        numbers = [int(digits) for digits in known]
        is_sparse = max(numbers) - min(numbers) >= _GAP * (len(numbers) - 1)
        (_, most), *_ = Counter(digits[-1] for digits in known).most_common(1)
        return is_sparse and most * 2 <= len(known)
