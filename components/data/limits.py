"""Limits of what a table may hold: a small file can unfold to more than a machine has.

They apply before anything is unfolded, by the file's own numbers where it has some.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.errors import DataError

MOST_CELL = 2**26  # bytes; a cell may hold an image, a recording or a book
MOST_ROWS = 2**27  # bytes of the rows that are in memory at once
MOST_COLUMNS = 100_000
MOST_RATIO = 200  # bytes that a byte of a compressed text unfolds to; tables reach 5 to 50
MOST_COLUMN_RATIO = 1000  # the same of a column, as one of a single value reaches hundreds
FREE_UNPACKED = 2**26  # bytes that any compressed file may unfold to
MOST_BLANK_LINES = 100_000  # one after the other
_SHOWN = 20


@dataclass(frozen=True)
class OversizeCell:
    """A cell that was not read, in place of its value.

    Attributes:
        bytes: Its size.
    """

    bytes: int

    def __str__(self) -> str:
        return f"cell of {self.bytes / 2**20:,.0f} MB (at most {MOST_CELL / 2**20:.0f} MB)"


def check_unfolded(unfolded: int, stored: int, name: str, ratio: int = MOST_COLUMN_RATIO) -> None:
    """Check the size that something compressed has in memory, by what its file says, before it is read.

    Args:
        unfolded: Bytes in memory.
        stored: Bytes in the file.
        name: Column or file, for messages.
        ratio: Most bytes that a byte may unfold to.

    Raises:
        DataError: If it is more than ``ratio`` times what is stored.
    """
    if unfolded > max(FREE_UNPACKED, ratio * stored):
        raise DataError(
            f"{name} unfolds to {unfolded / 2**20:,.0f} MB, more than {ratio} times what is stored, as a "
            "decompression bomb does"
        )


def check_columns_count(count: int, name: str) -> None:
    """Check the number of a table's columns, or of the keys of its JSON objects.

    Raises:
        DataError: If there are more than ``MOST_COLUMNS``.
    """
    if count > MOST_COLUMNS:
        raise DataError(f"{name}: more than {MOST_COLUMNS:,} columns; store such rows as lists in one column")


def first_repeated(columns: Iterable[str]) -> str | None:
    """Return the first column, in the order of names, that is there twice; None if there is none."""
    return min((column for column, count in Counter(columns).items() if count > 1), default=None)


def shown(columns: Sequence[str]) -> str:
    """List columns for a message, the first of many."""
    more = f", … ({len(columns) - _SHOWN:,} more)" if len(columns) > _SHOWN else ""
    return ", ".join(columns[:_SHOWN]) + more
