"""CSV and TSV files, whose cells are read as text."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from components.data.files.location import filename, parent
from components.data.sources.manifest import Batch, Manifest
from components.data.sources.packed import LONGEST_LINE, UNREADABLE, bounded_lines, open_unpacked
from components.errors import DataError

_BATCH = 4096  # rows


def open_delimited(path: str, delimiter: str) -> Manifest:
    """Open a table with a header line, UTF-8 with or without a byte order mark, possibly compressed.

    A CSV whose header has semicolons and no comma is read with semicolons: spreadsheets write it so where
    the comma is the decimal mark. Surrounding spaces are removed from the names of columns.

    Args:
        delimiter: Character between cells.

    Raises:
        DataError: If the table is empty, not UTF-8, repeats a column, or has a line of too few or many cells.
    """
    name = filename(path)
    with _lines(path) as lines:
        first = next(lines, "")
    if delimiter == "," and "," not in first and ";" in first:
        delimiter = ";"
    with _rows(path, delimiter) as rows:
        columns = [column.strip() for column in next(rows, (0, []))[1]]
    if not columns:
        raise DataError(f"{name}: empty; expected a header line with the names of the columns")
    if any("\0" in column for column in columns):
        raise DataError(f"{name}: bytes of zero in its first line, so it is no text. Save it as UTF-8 text.")
    if "" in columns:
        raise DataError(
            f"{name}: column {columns.index('') + 1} of the header has no name ({', '.join(columns)}). "
            "Name it."
        )
    duplicates = sorted({column for column in columns if columns.count(column) > 1})
    if duplicates:
        raise DataError(
            f"{name}: column {duplicates[0]!r} is in the header twice ({', '.join(columns)}). Rename one."
        )

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        indices = [(column, columns.index(column)) for column in wanted]
        with _rows(path, delimiter) as rows:
            next(rows)
            batch: Batch = {column: [] for column in wanted}
            count = 0
            for line, row in rows:
                if len(row) != len(columns):
                    raise DataError(
                        f"{name}, line {line}: {len(row)} cells, but the header has {len(columns)} "
                        f"({', '.join(columns)}). A cell that holds {delimiter!r}, a quote or a line break "
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

    return Manifest(name, path, parent(path), tuple(columns), batches)


@contextmanager
def _lines(path: str) -> Iterator[Iterator[str]]:
    """Open a file of UTF-8 text and give its lines."""
    name = filename(path)
    try:
        with open_unpacked(path) as file:
            yield bounded_lines(io.TextIOWrapper(file, "utf-8-sig", newline=""), name)
    except UnicodeDecodeError as error:
        byte = error.object[error.start : error.start + 1].hex()
        raise DataError(
            f"{name}: not UTF-8 text (byte 0x{byte}: {error.reason}). Save it as UTF-8, for example "
            f"with: iconv -f WINDOWS-1252 -t UTF-8 {name}"
        ) from error
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


@contextmanager
def _rows(path: str, delimiter: str) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """Open a table and give the rows that are not blank, each with the number of its last line, from 1."""
    csv.field_size_limit(LONGEST_LINE)  # as documents are longer than the default of 128 KiB
    with _lines(path) as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)

        def numbered() -> Iterator[tuple[int, list[str]]]:
            try:
                for row in reader:
                    if row:
                        yield reader.line_num, row
            except csv.Error as error:
                raise DataError(
                    f"{filename(path)}, line {reader.line_num}: {error}. "
                    "Double the quotes within a quoted cell."
                ) from error

        yield numbered()
