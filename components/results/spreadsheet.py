"""Tables for a spreadsheet, which would take some texts for formulas."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from components.results.visible import visible

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?|[+-]?(inf|nan)", re.IGNORECASE)


def cell(value: Any) -> Any:
    """Return a cell that a spreadsheet shows as it is: one that would be a formula begins with ``'``."""
    if not isinstance(value, str):
        return value
    text = visible(value, lines=True)  # a carriage return would begin a row of its own
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def table(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Write a table as CSV; None is an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(cell, names))
    writer.writerows(map(cell, row) for row in rows)
    return file.getvalue()
