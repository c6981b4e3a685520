"""Sheets of Excel workbooks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from zipfile import BadZipFile, ZipFile

from components.data.files.location import filename, filesystem, parent
from components.data.limits import MOST_RATIO, MOST_ROWS, check_unfolded
from components.data.sources.manifest import Batch, Manifest, check_header
from components.errors import DataError

_BATCH = 256  # rows


def open_excel(path: str, sheet: str | None = None) -> Manifest:
    """Open a sheet of a workbook, whose first row that is not empty names the columns.

    Cells have the values that Excel stored; formulas are not evaluated. Empty rows are skipped.

    Args:
        path: Path or URL of an .xlsx or .xlsm file.
        sheet: Name of the sheet; the first by default, and the findings name the others.

    Raises:
        DataError: If openpyxl is not installed, or the file is no workbook with this sheet. Also if its
            header has a gap or a name twice.
    """
    name = filename(path)
    with _sheet(path, sheet) as (page, sheets):
        chosen = page.title
        header = next(_filled(page), ())
    while header and header[-1] is None:
        header = header[:-1]
    columns = check_header(["" if cell is None else str(cell).strip() for cell in header], name)
    others = [each for each in sheets if each != chosen]
    findings = (f"{name} is read from its sheet {chosen!r}; it has others: {', '.join(others)} (data.sheet)",)

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        indices = [(column, columns.index(column)) for column in wanted]
        with _sheet(path, chosen) as (page, _):
            rows = _filled(page)
            next(rows)
            batch: Batch = {column: [] for column in wanted}
            count = 0
            for row in rows:
                if any(cell is not None for cell in row[len(columns) :]):
                    raise DataError(
                        f"{name}, sheet {chosen!r}: a row has more cells than the header "
                        f"({', '.join(columns)}): {row[len(columns) :][:3]}. Name its column"
                    )
                for column, index in indices:
                    batch[column].append(row[index] if index < len(row) else None)
                count += 1
                if count == _BATCH:
                    yield batch
                    batch, count = {column: [] for column in wanted}, 0
            if count:
                yield batch

    return Manifest(
        name, path, parent(path), columns, batches, findings=findings if others and not sheet else ()
    )


@contextmanager
def _sheet(path: str, sheet: str | None) -> Iterator[tuple[Any, list[str]]]:
    """Open a sheet, to be read row by row; see :func:`open_excel` for the errors."""
    try:
        import openpyxl  # here and not at the top, as it is an optional extra
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise DataError(f"{path}: Excel workbooks need: pip install 'braid[excel]'") from error
    name = filename(path)
    system, inner = filesystem(path)
    try:
        with system.open(inner, "rb") as file:
            _check_sizes(file, name)
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            titles = [each.title for each in book.worksheets]
            if sheet is not None and sheet not in titles:
                raise DataError(f"data.sheet: {name} has no sheet {sheet!r} (has: {', '.join(titles)})")
            page = book[sheet] if sheet is not None else book.worksheets[0]
            page.reset_dimensions()  # some programs write wrong ones, and rows beyond them would be lost
            yield page, titles
    except (InvalidFileException, BadZipFile, KeyError, IndexError, ValueError, OSError) as error:
        raise DataError(
            f"{path}: cannot be read as an Excel workbook ({error}). Old .xls and .ods files: save as .xlsx"
        ) from error


def _check_sizes(file: Any, name: str) -> None:
    """Check what a workbook unfolds to, of which the texts are held in memory, by its own numbers.

    Raises:
        DataError: If that is far more than is stored, or than a table of texts has.
    """
    file.seek(0, 2)
    stored = file.tell()
    file.seek(0)
    members = ZipFile(file).infolist()
    unfolded = sum(member.file_size for member in members)
    texts = sum(member.file_size for member in members if member.filename.endswith("sharedStrings.xml"))
    check_unfolded(unfolded, stored, name, MOST_RATIO)
    if texts > MOST_ROWS:
        raise DataError(
            f"{name}: has {texts / 2**20:,.0f} MB of texts, all of which a workbook holds in memory (at most "
            f"{MOST_ROWS / 2**20:.0f} MB); save the sheet as CSV"
        )
    file.seek(0)


def _filled(sheet: Any) -> Iterator[tuple[Any, ...]]:
    """Read the rows that have a cell with a value."""
    return (row for row in sheet.iter_rows(values_only=True) if any(cell is not None for cell in row))
