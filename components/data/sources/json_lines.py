"""Files with a JSON object per line."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from components.data.files.location import filename, parent
from components.data.limits import MOST_BLANK_LINES, check_columns_count, first_repeated
from components.data.sources.encoding import encoding_of, open_lines
from components.data.sources.manifest import Batch, Manifest
from components.errors import DataError


def open_jsonl(path: str, wanted_encoding: str = "auto") -> Manifest:
    """Open a file with a JSON object per line; a key that a line lacks is an empty cell.

    Args:
        path: Path or URL; the file may be compressed.
        wanted_encoding: Encoding, or ``auto``; see :func:`encoding_of`.

    Raises:
        DataError: If a line is not a JSON object, or the file is empty. The message gives the line.
    """
    encoding = encoding_of(path, wanted_encoding)
    known: dict[str, None] = {}
    for row in _json_rows(path, encoding.name):
        known.update(dict.fromkeys(row))
        check_columns_count(len(known), filename(path))
    columns = tuple(known)
    if not columns:
        raise DataError(f"{filename(path)}: empty; expected a JSON object on each line")

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        for row in _json_rows(path, encoding.name):
            yield {column: [row.get(column)] for column in wanted}

    return Manifest(filename(path), path, parent(path), columns, batches, findings=encoding.findings)


def _json_rows(path: str, encoding: str) -> Iterator[dict[str, Any]]:
    """Read the objects of a file of JSON lines; see :func:`open_jsonl` for the errors."""
    name = filename(path)
    number = blank = 0
    try:
        with open_lines(path, encoding, newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                blank = blank + 1 if line.isspace() else 0
                if blank > MOST_BLANK_LINES:
                    raise DataError(
                        f"{name}, line {number}: more than {MOST_BLANK_LINES:,} blank lines; remove them"
                    )
                if blank:
                    continue
                row = json.loads(line, object_pairs_hook=_distinct_keys)
                if not isinstance(row, dict):
                    raise DataError(
                        f"{name}, line {number}: expected a JSON object, found {type(row).__name__}"
                    )
                yield row
    except json.JSONDecodeError as error:
        raise DataError(f"{name}, line {number}: not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise DataError(f"{name}, line {number}: brackets are nested too deep to be read") from error
    except ValueError as error:  # a repeated key, or a number of thousands of digits
        raise DataError(f"{name}, line {number}: {str(error)[:200]}") from error


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, and refuse a repeated key, of which one value would be lost.

    Raises:
        ValueError: If a key is repeated.
    """
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError(f"the key {first_repeated(key for key, _ in pairs)!r} is repeated")
    return row
