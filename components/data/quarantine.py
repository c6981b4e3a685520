"""Rows that cannot be used, and why."""

from __future__ import annotations

from collections import Counter
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
_SHOWN = 5


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one row.

    Attributes:
        id: Of the row.
        input: Name of the input at fault, or ``row``.
        path: Of the file at fault.
        reason: A short cause, details in brackets.
        row: Number in the source; the first is 0.
    """

    id: str
    input: str
    path: str | None
    reason: str
    row: int


class Quarantine:
    """Faults found so far; a row with several counts once."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, id: str, input: str, path: str | None, reason: str, row: int) -> None:
        """Note that a row cannot be used."""
        self.faults.append(Fault(id, input, path, reason, row))

    @property
    def rows(self) -> set[int]:
        """Numbers of the rows that cannot be used."""
        return {fault.row for fault in self.faults}

    @property
    def table(self) -> pa.Table:
        """Columns ``id, input, path, reason, row``, by row."""
        faults = sorted(self.faults, key=lambda fault: fault.row)
        columns = zip(*map(astuple, faults), strict=True) if faults else iter([[]] * len(SCHEMA))
        return pa.table(
            [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)],
            schema=SCHEMA,
        )

    def write(self, path: Path) -> None:
        """Write the table."""
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
        """Stop if too large a share of rows is bad.

        Args:
            total: Rows of the source.
            max_bad: Largest share that is let pass.
            name: What to call the manifest.
            root: Where relative paths start.
            path: Of the quarantine table, which the message points to.
            option: What sets ``max_bad``.
            for_missing: What else helps where files do not exist.

        Raises:
            DataError: With the number of rows for each cause, and the first rows.
        """
        bad = len(self.rows)
        if bad <= max_bad * total:
            return
        share = f"{bad} of {total} rows ({bad / total:.1%})"
        head = f"{name}: {share} cannot be used; {option} allows {max_bad:.1%}."
        advice = [f"All are in {path}. Mend or remove them, or raise {option}."]
        if any(fault.reason == MISSING for fault in self.faults):
            advice.append(f"Relative paths start from {root}. {for_missing}".rstrip())
        raise DataError("\n".join([head, *self._causes(), *self._first(), *advice]))

    def _causes(self) -> Iterator[str]:
        causes = Counter((fault.input, fault.reason.partition(" (")[0]) for fault in self.faults)
        for (input, cause), count in causes.most_common():
            yield f"  {count} × {input}: {cause}"

    def _first(self) -> Iterator[str]:
        yield "First of them (rows are counted from 0):"
        for fault in sorted(self.faults, key=lambda fault: fault.row)[:_SHOWN]:
            where = f" {fault.path}" if fault.path else ""
            yield f"  row {fault.row}, id {fault.id}, {fault.input}:{where} {fault.reason}"
