"""Forms of numbers and dates in a table for a model, where they are others than in training."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import time
from itertools import islice
from typing import Any

from components.data.cells import UnusableCellError, word_of
from components.data.dates import Order, order_of
from components.data.numbers import Mark, parse_number
from components.data.sources.manifest import Manifest
from components.data.spelling import Spelling

_BATCHES = 1000  # that are looked at; a form shows itself early
_MARKS: dict[Mark, str] = {",": "comma", ".": "point"}


def other_forms(manifest: Manifest, spellings: Mapping[str, Spelling]) -> tuple[str, ...]:
    """Say where the first rows of a table have other decimal marks, units or orders of dates than training.

    Args:
        manifest: The table.
        spellings: Rule of each column, as the model keeps it.
    """
    forms = {
        column: _Forms(column, spelling)
        for column, spelling in spellings.items()
        if column in manifest.columns and (spelling.numbers or spelling.dates)
    }
    for batch in islice(manifest.batches(list(forms)), _BATCHES) if forms else ():
        for column, each in forms.items():
            each.add(batch[column])
    return tuple(finding for each in forms.values() for finding in each.findings())


class _Forms:
    """Forms of the cells of a column."""

    def __init__(self, name: str, spelling: Spelling) -> None:
        self._name, self._spelling = name, spelling
        self._marks: Counter[Mark] = Counter()
        self._orders: Counter[Order] = Counter()
        self._either: Counter[str] = Counter()  # numbers and dates that may be read both ways
        self._bare = 0  # numbers without a unit

    def add(self, cells: Iterable[Any]) -> None:
        """Look at further cells; one that cannot be used says nothing, as it goes to quarantine."""
        for cell in cells:
            try:
                word = word_of(cell)
            except (TypeError, UnusableCellError):
                continue
            if word is None or self._spelling.is_empty(cell):
                continue
            if self._spelling.numbers is not None:
                self._add_number(word, is_text=isinstance(cell, str | time))
            elif isinstance(cell, str):
                self._add_date(word)

    def _add_number(self, word: str, is_text: bool) -> None:
        number = parse_number(word)
        if number is None:
            return
        self._bare += number.unit == ""
        if is_text and number.mark is not None:
            self._marks[number.mark] += 1
        elif is_text and number.point != number.comma:
            self._either[word] += 1

    def _add_date(self, word: str) -> None:
        shown, usual = order_of(word)
        if shown is not None:
            self._orders[shown] += 1
        elif usual is not None:
            self._either[word] += 1

    def findings(self) -> Iterator[str]:
        """Say what differs from training, and how cells that may be read both ways are read."""
        form, order = self._spelling.numbers, self._spelling.dates
        word, _ = next(iter(self._either.most_common(1)), ("", 0))
        if form is not None:
            own, other = form.decimal, _other(form.decimal)
            as_trained = f"{word} may be read both ways and is read as {form.read(word)}" if word else ""
            if self._marks[other]:
                yield (
                    f"{self._name}: {self._marks[other]} numbers have a decimal {_MARKS[other]}, but the "
                    f"model was trained on a decimal {_MARKS[own]}" + (f"; {as_trained}" if word else "")
                )
            elif word and not self._marks[own]:
                yield f"{self._name}: no number shows its decimal mark; {as_trained}, as in training"
            if form.unit and self._bare:
                yield (
                    f"{self._name}: {self._bare} numbers have no unit, but the model was trained on numbers "
                    f"in {form.unit}"
                )
        elif order is not None:
            others = sum(count for each, count in self._orders.items() if each != order)
            if others:
                yield (
                    f"{self._name}: {others} dates are not {order}, as those of training were"
                    + (f"; {word} may be read both ways and is read {order}" if word else "")
                )


def _other(mark: Mark) -> Mark:
    return "," if mark == "." else "."
