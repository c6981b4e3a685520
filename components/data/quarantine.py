"""Rows that cannot be used, and why."""

import re
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.files.media_index import MISSING
from components.errors import DataError
from components.storage.atomic import replacing

_ALLOW_MISSING = "With data.allow_missing_files: true a file that does not exist is a missing input."
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("input", pa.string()),
        ("path", pa.string()),
        ("reason", pa.string()),
        ("row", pa.int64()),
    ]
)
_SHOWN = 12  # kinds of faults in a message
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_NUMBER = re.compile(r"(?<![\w.])-?[0-9][0-9.,]*(?!\w)")


@dataclass(frozen=True)
class Fault:
    """A reason for which a row cannot be used.

    Attributes:
        id: Id of the row.
        input: Name of the input at fault, or ``row``.
        path: Path of the file at fault; None if no file is.
        reason: Short cause, with details in brackets.
        row: Row number in the source, counted from 0.
    """

    id: str
    input: str
    path: str | None
    reason: str
    row: int

    @property
    def message(self) -> str:
        """The reason, behind the file at fault."""
        return f"{self.path}: {self.reason}" if self.path else self.reason


class Quarantine:
    """Collection of the faults of a table's rows; a row with several faults counts once."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, id: str, input: str, path: str | None, reason: str, row: int) -> None:
        """Record that a row cannot be used; see :class:`Fault` for the arguments."""
        self.faults.append(Fault(id, input, path, reason, row))

    @property
    def rows(self) -> set[int]:
        """Row numbers of the rows that cannot be used."""
        return {fault.row for fault in self.faults}

    @property
    def table(self) -> pa.Table:
        """Faults as a table with the columns ``id, input, path, reason, row``, sorted by row."""
        faults = sorted(self.faults, key=lambda fault: fault.row)
        columns = zip(*map(astuple, faults), strict=True) if faults else iter([[]] * len(SCHEMA))
        return pa.table(
            [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)],
            schema=SCHEMA,
        )

    def write(self, path: Path) -> None:
        """Write the table as Parquet, atomically."""
        with replacing(path) as temporary:
            pq.write_table(self.table, temporary)

    def check(
        self,
        total: int,
        max_bad: float,
        name: str,
        root: str,
        path: Path,
        option: str = "data.max_bad",
        for_missing: str = _ALLOW_MISSING,
    ) -> None:
        """Raise an error if too large a share of the rows is bad.

        Args:
            total: Number of rows of the source.
            max_bad: Largest share of bad rows that is accepted, 0 to 1.
            name: Name of the manifest, for messages.
            root: Folder or URL where relative paths start.
            path: Path of the quarantine table, which the message points to.
            option: Option that sets ``max_bad``.
            for_missing: Advice for files that do not exist.

        Raises:
            DataError: If it is too large; the message counts the rows per cause and shows the first rows.
        """
        bad = len(self.rows)
        if bad <= max_bad * total:
            return
        share = f"{bad} of {total} rows ({bad / total:.1%})"
        head = f"{name}: {share} cannot be used; {option} allows {max_bad:.1%}."
        advice = [f"All are in {path}. Correct or remove them, or raise {option}."]
        if any(fault.reason.startswith(MISSING) for fault in self.faults):
            advice.append(f"Relative paths start from {root}. {for_missing}".rstrip())
        raise DataError("\n".join([head, *self._kinds(), *advice]))

    def _kinds(self) -> Iterator[str]:
        """Describe each kind of fault in a line: its count and its first row; rows are counted from 0."""
        kinds: dict[tuple[str, str], list[Fault]] = {}
        for fault in sorted(self.faults, key=lambda fault: fault.row):
            kinds.setdefault((fault.input, _kind(fault.reason)), []).append(fault)
        frequent = sorted(kinds.items(), key=lambda item: -len(item[1]))
        for (input, kind), faults in frequent[:_SHOWN]:
            first = faults[0]
            detail = f": {first.message}" if first.path or first.reason != kind else ""
            yield f"  {len(faults)} × {input}: {kind}, first in row {first.row}, id {first.id}{detail}"
        if len(frequent) > _SHOWN:
            rest = sum(len(faults) for _, faults in frequent[_SHOWN:])
            yield f"  {rest} × {len(frequent) - _SHOWN} other kinds"


def _kind(reason: str) -> str:
    """Return a reason without what differs from row to row: details in brackets, quoted cells, numbers."""
    return _NUMBER.sub("N", _QUOTED.sub("'...'", reason.partition(" (")[0]))
