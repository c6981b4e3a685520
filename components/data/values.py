"""Values that preprocessors take, from the cells of a row as users give them."""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from components.config.inputs import InputConfig
from components.data.cells import UnusableCellError
from components.data.spelling import Spelling


def cells_by_column(
    cells: Mapping[Any, Any], config: InputConfig, spellings: Mapping[str, Spelling], files: bool = True
) -> dict[str, Any]:
    """Give every column of an input its cell, None where that holds nothing; media as path, URL or bytes.

    Args:
        cells: Cells of one row by column; further columns are ignored.
        spellings: Rules by column that the model learned; a column without one holds words.
        files: Takes text in a media cell as path or URL, else as base64.

    Raises:
        ValueError: As :func:`read_media`; also if a cell of text or of a table holds bytes, is not Unicode,
            or is not what its column holds.
    """
    rules = {column: spellings.get(column, Spelling()) for column in config.columns}
    filled = {
        column: None if is_null(cell := cells.get(column)) or rule.is_empty(cell) else cell
        for column, rule in rules.items()
    }
    if config.modality in ("image", "audio"):
        return {column: None if cell is None else read_media(cell, files) for column, cell in filled.items()}
    read = _text if config.modality == "text" else _table_cell
    return {column: read(cell, column, rules[column]) for column, cell in filled.items()}


def _table_cell(cell: Any, column: str, spelling: Spelling) -> Any:
    """Read a cell of a table as training did; see :func:`cells_by_column` for the errors."""
    try:
        return spelling.cell(cell)
    except TypeError as error:
        raise ValueError(
            f"column {column!r} holds {error}; expected text, a number, a date or true/false"
        ) from error
    except UnusableCellError as error:
        raise UnusableCellError(f"column {column!r}: {error}") from error


def _text(cell: Any, column: str, spelling: Spelling) -> str | None:
    """Make text of a cell as training did; see :func:`cells_by_column` for the errors."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # as pandas makes floats of whole numbers beside an empty cell
    try:
        return spelling.text(cell) if isinstance(cell, str) else spelling.name(cell)
    except TypeError as error:
        raise ValueError(f"column {column!r} holds {error}; expected text") from error


def read_cells(
    cells: Mapping[Any, Any], config: InputConfig, spellings: Mapping[str, Spelling], files: bool = True
) -> Any | None:
    """Make of the cells of one row what a preprocessor takes, or None where the input is missing.

    Args:
        cells: Cells by column.
        spellings: Rules by column that the model learned; a column without one holds words.
        files: Takes text in a media cell as path or URL, else as base64.

    Raises:
        ValueError: As :func:`cells_by_column`.
    """
    by_column = cells_by_column(cells, config, spellings, files)
    filled = [cell for cell in by_column.values() if cell is not None]
    if not filled:
        return None
    match config.modality:
        case "tabular":
            return by_column
        case "text":
            return "\n".join(filled)
        case _:
            return filled if len(config.columns) > 1 else filled[0]


def read_media(value: Any, files: bool = True) -> str | Path | bytes:
    """Give a path or URL as it is, bytes as bytes, base64 text (plain, or as a ``data:`` URL) decoded.

    Args:
        value: A cell that is not null.
        files: Takes text as path or URL, as it also does plain base64 of up to 64 characters.

    Raises:
        ValueError: If it is neither, or base64 with characters that do not belong there.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if not isinstance(value, str | Path):
        expected = "a path, bytes or base64 text" if files else "base64 text"
        raise ValueError(f"expected {expected}, found {type(value).__name__}")
    text = str(value)
    if text.startswith("data:"):
        head, _, content = text.partition(",")
        if not head.endswith(";base64"):
            raise ValueError(f"{text[:40]!r} is a data: URL without ';base64,'")
        return decoded(content)
    if not files:
        return decoded(text)
    # too long for most paths, without a file's ending, and no file (a path may be valid base64 all the same);
    # Path.exists raises where the text is too long for a name
    if len(text) > 64 and "." not in text[-8:] and not os.path.exists(text):  # noqa: PTH110
        try:
            return decoded(text)
        except ValueError:
            pass
    return value if isinstance(value, Path) else text


def decoded(text: str) -> bytes:
    """Decode base64 text, which may have line breaks.

    Raises:
        ValueError: If it is not base64: what does not belong there is not passed over.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        raise ValueError(f"{shown!r} ({len(text)} characters) is not base64: {error}") from error


def is_null(value: Any) -> bool:
    """Tell if a cell holds nothing: None, NaN, NaT, NA or empty text."""
    if isinstance(value, (str, bytes)):
        return not value.strip() if isinstance(value, str) else not value
    return bool(pd.isna(value)) if pd.api.types.is_scalar(value) else False
