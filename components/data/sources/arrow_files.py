"""Parquet, Arrow (Feather) and ORC files, alone or in a folder, which may be divided by columns (Hive)."""

import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.orc
import pyarrow.parquet as pq

from components.data.files.location import below, filename, filesystem, parent, visible
from components.data.limits import (
    MOST_CELL,
    MOST_ROWS,
    OversizeCell,
    check_columns_count,
    check_unfolded,
    shown,
)
from components.data.sources.ipc_sizes import check_ipc
from components.data.sources.manifest import Batch, Manifest
from components.errors import DataError

_BATCH = 64  # rows; few, as they may hold images
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_UNREADABLE = (pa.ArrowException, KeyError, OSError, ValueError, OverflowError, struct.error)


@dataclass(frozen=True)
class ArrowFormat:
    """Format of files that pyarrow reads in parts.

    Attributes:
        name: Name for messages.
        suffixes: Ends of the names of such files in a folder.
        columns: Function that reads the names of an open file's columns.
        batches: Function that reads some columns of an open file, a bounded number of rows at a time.
    """

    name: str
    suffixes: tuple[str, ...]
    columns: Callable[[Any], list[str]]
    batches: Callable[[Any, list[str]], Iterator[pa.RecordBatch]]


def open_arrow(path: str, kind: ArrowFormat) -> Manifest:
    """Open a file, or a folder of files and sub-folders.

    The columns are those of all files together. A file that lacks one has empty cells there, and the findings
    say so. A folder named ``column=value`` gives that cell to all its rows, as Hive and Spark write tables.

    Raises:
        DataError: If a file is not of this format, or the folder holds none.
    """
    system, inner = filesystem(path)
    is_folder = system.isdir(inner)
    files = [inner]
    if is_folder:
        named = (file for file in system.find(inner) if file.endswith(kind.suffixes))
        files = sorted(file for file in named if visible(inner, file))
        if not files:
            raise DataError(f"{path}: no *{kind.suffixes[0]} file in this folder")
    own = {file: dict.fromkeys(_columns(system, file, kind)) for file in files}
    partitions = {file: _partitions(inner, file) if is_folder else {} for file in files}
    columns = dict.fromkeys(column for file in files for column in (*own[file], *partitions[file]))
    check_columns_count(len(columns), filename(path))
    findings = []
    for column in columns:
        lacking = [file for file in files if column not in own[file] and column not in partitions[file]]
        if lacking:
            findings.append(
                f"{len(lacking)} of {len(files)} files of {filename(path)} have no column {column!r}, so its "
                f"cells are empty there ({filename(lacking[0])})"
            )

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        for file in files:
            read = [column for column in wanted if column in own[file]]
            try:
                with system.open(file, "rb") as handle:
                    # A file without any of the columns is read for its number of rows.
                    for part in kind.batches(handle, read or list(own[file])[:1]):
                        for start in range(0, part.num_rows, _BATCH):
                            rows = part.slice(start, _BATCH)
                            yield {
                                column: cells_of(rows.column(column))
                                if column in own[file]
                                else [partitions[file].get(column)] * rows.num_rows
                                for column in wanted
                            }
            except _UNREADABLE as error:
                raise DataError(
                    f"{file}: cannot be read as {kind.name} with columns {shown(wanted)}: {error}"
                ) from error

    root = path if is_folder else parent(path)
    return Manifest(filename(path), path, root, tuple(columns), batches, findings=tuple(findings))


def cells_of(column: pa.Array) -> list[Any]:
    """Convert a column to Python's objects.

    A short float becomes the number that its shortest digits show, a moment beyond Python's years text.
    """
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        numbers = column.to_numpy(zero_copy_only=False)
        return [
            None if null else float(str(n))
            for n, null in zip(numbers, column.is_null().to_pylist(), strict=True)
        ]
    if pa.types.is_dictionary(column.type):  # of which every value is made once, however often it is there
        indices = column.indices.to_pylist()
        used = sorted({index for index in indices if index is not None})
        values = dict(zip(used, cells_of(column.dictionary.take(pa.array(used, pa.int64()))), strict=True))
        return [None if index is None else values[index] for index in indices]
    if _is_flat(column.type) and column.nbytes > MOST_CELL:
        sizes = [size or 0 for size in pc.binary_length(column).to_pylist()]
        return [
            OversizeCell(size) if size > MOST_CELL else cell.as_py()
            for size, cell in zip(sizes, column, strict=True)
        ]
    if not pa.types.is_temporal(column.type):
        return column.to_pylist()
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))  # not every name of a zone is known here
    try:
        return column.to_pylist()
    except (OverflowError, ValueError):
        return [_moment(column.slice(row, 1)) for row in range(len(column))]


def _moment(cell: pa.Array) -> Any:
    """Convert one moment, or write it as text where it is beyond Python's years."""
    try:
        return cell[0].as_py()
    except (OverflowError, ValueError):
        return cell.cast(pa.string())[0].as_py()


def _is_flat(kind: pa.DataType) -> bool:
    """Return True for text and bytes."""
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))


def _columns(system: fsspec.AbstractFileSystem, file: str, kind: ArrowFormat) -> list[str]:
    """Read the names of a file's columns."""
    try:
        with system.open(file, "rb") as handle:
            return kind.columns(handle)
    except _UNREADABLE as error:
        raise DataError(f"{file}: cannot be read as {kind.name}: {error}") from error


def _partitions(folder: str, file: str) -> dict[str, str | None]:
    """Return the cells that the folders between ``folder`` and ``file`` give to all rows of the file."""
    pairs = [part.partition("=") for part in below(folder, file).parts[:-1] if "=" in part]
    cells = {unquote(column): unquote(value) for column, _, value in pairs}
    return {column: None if value == _NO_VALUE else value for column, value in cells.items()}


def _open_parquet(handle: Any) -> pq.ParquetFile:
    """Open a Parquet file so that pages with a checksum are verified."""
    return pq.ParquetFile(handle, page_checksum_verification=True)


def check_parquet(metadata: pq.FileMetaData, wanted: Collection[str]) -> None:
    """Check what the columns of a Parquet file unfold to, by its own numbers.

    Raises:
        DataError: If that is far more than is stored.
    """
    for _, chunk in _chunks(metadata, wanted):
        check_unfolded(
            chunk.total_uncompressed_size, chunk.total_compressed_size, f"the column {chunk.path_in_schema!r}"
        )


def _chunks(metadata: pq.FileMetaData, wanted: Collection[str]) -> Iterator[tuple[int, Any]]:
    """Give the chunks of some columns, each with the number of its group of rows."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for chunk in map(group.column, range(group.num_columns)):
            column = chunk.path_in_schema
            if column in wanted or any(column.startswith(f"{name}.") for name in wanted):
                yield number, chunk


def _parquet_batches(handle: Any, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Read some columns, as many rows at a time as fit into ``MOST_ROWS``.

    A dictionary stores a text once for many rows, so it stays one where texts are long.

    Raises:
        DataError: If the file says that a column unfolds to far more than is stored.
    """
    wanted = set(columns)
    metadata = pq.read_metadata(handle)
    check_parquet(metadata, wanted)
    schema, dictionaries, sizes = metadata.schema.to_arrow_schema(), set(), Counter[int]()
    for number, chunk in _chunks(metadata, wanted):
        column, unfolded = chunk.path_in_schema, chunk.total_uncompressed_size
        sizes[number] += unfolded
        is_long = unfolded > MOST_ROWS // _BATCH and column in wanted
        if is_long and _is_flat(schema.field(column).type) and "DICTIONARY" in str(chunk.encodings):
            dictionaries.add(column)
    rows = min(
        [_BATCH]
        + [
            max(1, MOST_ROWS * metadata.row_group(number).num_rows // max(1, size))
            for number, size in sizes.items()
        ]
    )
    handle.seek(0)
    file = pq.ParquetFile(handle, read_dictionary=sorted(dictionaries), page_checksum_verification=True)
    return file.iter_batches(rows, columns=columns)


def _is_ipc_file(handle: Any) -> bool:
    head = handle.read(6)
    handle.seek(0)
    return bool(head == b"ARROW1")


def _ipc_reader(handle: Any, columns: list[str] | None = None) -> Any:
    """Open a file in Arrow's format for files or in that for streams, with some columns or all."""
    opener = pa.ipc.open_file if _is_ipc_file(handle) else pa.ipc.open_stream
    if columns is None:
        return opener(handle)
    fields = opener(handle).schema
    handle.seek(0)
    options = pa.ipc.IpcReadOptions(included_fields=[fields.get_field_index(column) for column in columns])
    return opener(handle, options=options)


def _ipc_batches(handle: Any, columns: list[str]) -> Iterator[pa.RecordBatch]:
    check_ipc(handle, "the file")
    reader = _ipc_reader(handle, columns)
    if hasattr(reader, "get_batch"):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _orc_batches(handle: Any, columns: list[str]) -> Iterator[pa.RecordBatch]:
    file = pyarrow.orc.ORCFile(handle)
    # Nothing in an ORC file says how long its texts are before they are read, but a cell has a byte at least.
    check_unfolded(file.nrows * len(columns), file.file_length, "the file")
    return (file.read_stripe(number, columns) for number in range(file.nstripes))


PARQUET = ArrowFormat(
    "Parquet",
    (".parquet", ".pq"),
    lambda handle: list(_open_parquet(handle).schema_arrow.names),
    _parquet_batches,
)
ARROW = ArrowFormat(
    "Arrow",
    (".feather", ".arrow", ".ipc", ".arrows"),
    lambda handle: list(_ipc_reader(handle).schema.names),
    _ipc_batches,
)
ORC = ArrowFormat(
    "ORC",
    (".orc",),
    lambda handle: list(pyarrow.orc.ORCFile(handle).schema.names),
    _orc_batches,
)
