"""Delta and Iceberg tables, through the readers of these projects."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.files.location import filename, filesystem, is_url
from components.data.files.policy import OutsideError, policy, require_inside
from components.data.sources.arrow_files import cells_of, check_parquet
from components.data.sources.manifest import Batch, Manifest
from components.errors import DataError

_BATCH = 64  # rows; few, as they may hold images


def is_delta(folder: str) -> bool:
    """Return True for a folder with a Delta log."""
    return _has_folder(folder, "_delta_log")


def is_iceberg(folder: str) -> bool:
    """Return True for a folder with Iceberg's metadata."""
    system, inner = filesystem(folder)
    return _has_folder(folder, "metadata") and bool(system.glob(f"{inner}/metadata/*.metadata.json"))


def _has_folder(folder: str, name: str) -> bool:
    system, inner = filesystem(folder)
    return bool(system.isdir(f"{inner.rstrip('/')}/{name}"))


def open_delta(path: str) -> Manifest:
    """Open the newest version of a Delta table.

    Raises:
        DataError: If deltalake is not installed, the table cannot be read, or its log names a file outside.
    """
    try:
        import deltalake  # here and not at the top, as it is an optional extra
    except ImportError as error:
        raise DataError(f"{path}: Delta tables need: pip install 'braid[delta]'") from error
    if is_url(path):
        policy().check(path)

    def read() -> tuple[pa.Schema, Callable[[list[str]], Iterator[pa.RecordBatch]]]:
        table = deltalake.DeltaTable(path)
        for file in table.file_uris():
            require_inside(file, (path, *policy().roots))
        data = table.to_pyarrow_dataset()

        def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
            for fragment in data.get_fragments():
                check_parquet(fragment.metadata, columns)
            return iter(data.to_batches(columns=columns, batch_size=_BATCH, use_threads=False))

        return data.schema, batches

    return _open(path, "Delta", read)


def open_iceberg(path: str) -> Manifest:
    """Open the newest snapshot of an Iceberg table in a folder, by its newest metadata file.

    Raises:
        DataError: If pyiceberg is not installed, the table cannot be read, or it names a file outside.
    """
    try:
        from pyiceberg.table import StaticTable  # here and not at the top, as it is an optional extra
    except ImportError as error:
        raise DataError(f"{path}: Iceberg tables need: pip install 'braid[iceberg]'") from error
    system, inner = filesystem(path)

    def require_own(file: str) -> None:
        require_inside(file.removeprefix("file://"), (path, *policy().roots))

    def read() -> tuple[pa.Schema, Callable[[list[str]], Iterator[pa.RecordBatch]]]:
        newest = max(
            system.glob(f"{inner}/metadata/*.metadata.json"), key=lambda file: _number(filename(file))
        )
        table = StaticTable.from_metadata(system.unstrip_protocol(newest))
        files = []
        snapshot = table.current_snapshot()
        if snapshot is not None:
            require_own(snapshot.manifest_list)
            for manifest in snapshot.manifests(table.io):
                require_own(manifest.manifest_path)
            for task in table.scan().plan_files():
                for file in (task.file, *task.delete_files):
                    require_own(file.file_path)
                    files.append(file.file_path)

        def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
            for file in files:
                with table.io.new_input(file).open() as handle:
                    check_parquet(pq.read_metadata(handle), columns)
            return iter(table.scan(selected_fields=tuple(columns)).to_arrow_batch_reader())

        return table.schema().as_arrow(), batches

    return _open(path, "Iceberg", read)


def _number(name: str) -> int:
    """Return the version in the name of a metadata file: ``v12.metadata.json``, ``00012-….metadata.json``."""
    digits = name.lstrip("v").partition("-")[0].partition(".")[0]
    return int(digits) if digits.isdigit() else -1


def _open(
    path: str,
    kind: str,
    read: Callable[[], tuple[pa.Schema, Callable[[list[str]], Iterator[pa.RecordBatch]]]],
) -> Manifest:
    """Open a table by a function that gives its schema, and one that reads columns of it."""

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        try:
            for part in read()[1](list(wanted)):
                for start in range(0, part.num_rows, _BATCH):
                    rows = part.slice(start, _BATCH)
                    yield {column: cells_of(rows.column(column)) for column in wanted}
        except DataError:
            raise
        except Exception as error:  # as errors of two libraries, of Arrow and of stores come through
            raise _unreadable(error) from error

    def _unreadable(error: Exception) -> DataError:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return DataError(f"{path}: cannot be read as a table of {kind}: {reason}")

    try:
        columns = tuple(read()[0].names)
    except OutsideError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:
        raise _unreadable(error) from error
    root = path if is_url(path) else str(Path(path))
    return Manifest(filename(path), path, root, columns, batches)
