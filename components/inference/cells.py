"""Cells of a row as a preprocessor takes them."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from components.config.inputs import InputConfig


def read_cells(cells: Mapping[Any, Any], config: InputConfig, files: bool = True) -> Any | None:
    """What a preprocessor takes from the cells of one row, or None where the input is missing.

    Args:
        cells: By column.
        config: Options of the input.
        files: As :class:`Predictor` has it.

    Raises:
        ValueError: As :func:`read_media`.
    """
    known = {column: value for column, value in cells.items() if not is_null(value)}
    if not known:
        return None
    match config.modality:
        case "tabular":
            return {column: known.get(column) for column in config.columns}
        case "text":
            return "\n".join(str(known[column]) for column in config.columns if column in known)
        case _:
            media = [read_media(known[column], files) for column in config.columns if column in known]
            return media if len(config.columns) > 1 else media[0]


def read_media(value: Any, files: bool = True) -> str | Path | bytes:
    """A path or URL as it is, bytes as bytes, base64 text (plain, or as a ``data:`` URL) decoded.

    Args:
        value: A cell that is not null.
        files: Whether it may be a path or URL. Plain base64 of up to 64 characters is then taken for one.

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
    """Bytes of base64 text, which may have line breaks.

    Raises:
        ValueError: If it is not base64: what does not belong there is not passed over.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        shown = text if len(text) <= 40 else f"{text[:40]}..."
        raise ValueError(f"{shown!r} ({len(text)} characters) is not base64: {error}") from error


def is_null(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, NaT, NA or empty text."""
    if isinstance(value, (str, bytes)):
        return not value.strip() if isinstance(value, str) else not value
    return bool(pd.isna(value)) if pd.api.types.is_scalar(value) else False
