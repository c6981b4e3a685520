"""CSV and TSV files, whose cells are read as text."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from components.data.files.location import filename, parent
from components.data.limits import MOST_BLANK_LINES, shown
from components.data.sources.encoding import encoding_of, open_lines
from components.data.sources.manifest import Batch, Manifest, check_header
from components.data.sources.packed import LONGEST_LINE
from components.errors import DataError

_BATCH = 4096  # rows


def open_delimited(path: str, delimiter: str, wanted_encoding: str = "auto") -> Manifest:
    """Open a table with a header line, possibly compressed.

    A CSV whose header has semicolons or tabs and no comma is read with these: spreadsheets write it so where
    the comma is the decimal mark. Surrounding spaces are removed from the names of columns.

    Args:
        path: Path or URL.
        delimiter: Character between cells.
        wanted_encoding: Encoding, or ``auto``; see :func:`encoding_of`.

    Raises:
        DataError: If the table is empty, no text, repeats a column, or has a line of too few or many cells.
    """
    name = filename(path)
    encoding = encoding_of(path, wanted_encoding)
    with open_lines(path, encoding.name, newline="") as lines:
        first = next(lines, "")
    if delimiter == "," and "," not in first:
        delimiter = next((other for other in ";\t" if other in first), delimiter)
    with _rows(path, delimiter, encoding.name) as rows:
        columns = [column.strip() for column in next(rows, (0, []))[1]]
    if any("\0" in column for column in columns):
        raise DataError(f"{name}: bytes of zero in its first line, so it is no text. Save it as UTF-8 text.")
    check_header(columns, name)

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        places = {column: index for index, column in enumerate(columns)}
        indices = [(column, places[column]) for column in wanted]
        with _rows(path, delimiter, encoding.name) as rows:
            next(rows)
            batch: Batch = {column: [] for column in wanted}
            count = 0
            for line, row in rows:
                if len(row) != len(columns):
                    raise DataError(
                        f"{name}, line {line}: {len(row)} cells, but the header has {len(columns)} "
                        f"({shown(columns)}). A cell that holds {delimiter!r}, a quote or a line break "
                        "needs double quotes around it."
                    )
                for column, index in indices:
                    batch[column].append(row[index])
                count += 1
                if count == _BATCH:
                    yield batch
                    batch, count = {column: [] for column in wanted}, 0
            if count:
                yield batch

    decimal: Literal[".", ","] = "," if delimiter == ";" else "."
    return Manifest(
        name, path, parent(path), tuple(columns), batches, findings=encoding.findings, decimal=decimal
    )


@contextmanager
def _rows(path: str, delimiter: str, encoding: str) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """Open a table and give the rows that are not blank, each with the number of its last line, from 1."""
    csv.field_size_limit(LONGEST_LINE)  # as documents are longer than the default of 128 KiB
    with open_lines(path, encoding, newline="") as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)

        def numbered() -> Iterator[tuple[int, list[str]]]:
            blank = 0
            try:
                for row in reader:
                    blank = 0 if row else blank + 1
                    if row:
                        yield reader.line_num, row
                    elif blank > MOST_BLANK_LINES:
                        raise DataError(
                            f"{filename(path)}, line {reader.line_num}: more than {MOST_BLANK_LINES:,} blank "
                            "lines; remove them"
                        )
            except csv.Error as error:
                raise DataError(
                    f"{filename(path)}, line {reader.line_num}: {error}. "
                    "Double the quotes within a quoted cell."
                ) from error

        yield numbered()
