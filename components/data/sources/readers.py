"""Readers, which open ``data.source`` as a manifest."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from components.config.data import DataConfig
from components.data.files.location import filename, filesystem, is_url, parent, plain
from components.data.sources.delimited import open_delimited
from components.data.sources.embedded import EMBEDDED, materialise
from components.data.sources.huggingface import is_saved_dataset, open_huggingface
from components.data.sources.manifest import Batch, Manifest
from components.data.sources.packed import UNREADABLE, bounded_lines, open_unpacked
from components.data.sources.sql import open_query
from components.data.splits import normal_split
from components.errors import DataError
from components.runtime.environ import filled

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"})
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf"})
_BATCH = 64  # rows; few, as they may hold images
_COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".zip")
_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


def open_manifest(config: DataConfig, folder: Path, base: Path) -> Manifest:
    """Open ``data.source`` with the reader for its format.

    Args:
        config: Section ``data`` of the pipeline file.
        folder: Folder for an embedded data set.
        base: Folder of the pipeline file. A relative source is looked up here, then in the working
            directory; media paths that a query gives start here.

    Raises:
        DataError: If the source does not exist, its format is unknown, or it cannot be read.
    """
    if config.query is not None:
        return open_query(config.source, config.query, str(base))
    source = filled(config.source, "data.source")
    try:
        path = _find(source, base)
    except PermissionError as error:
        raise DataError(f"data.source: {source}: {error}") from error
    except OSError as error:
        raise DataError(f"data.source: {source}: cannot be read: {error}") from error
    name = config.format if config.format != "auto" else _guess(source, path)
    if name not in ("huggingface", "demo") and path is None:
        raise _missing_source(source, base)
    return READERS[name](path or source, folder)


def open_parquet(path: str) -> Manifest:
    """Open a Parquet file, or a folder of Parquet files with the same columns.

    Raises:
        DataError: If a file is not Parquet, or the folder holds none.
    """
    system, inner = filesystem(path)
    files = [inner]
    if system.isdir(inner):
        files = sorted(
            file
            for file in system.find(inner)
            if file.endswith((".parquet", ".pq")) and _visible(inner, file)
        )
        if not files:
            raise DataError(f"{path}: no *.parquet file in this folder")
    columns = _parquet_columns(system, files[0])

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        for name in files:
            try:
                with system.open(name, "rb") as handle:
                    for batch in _open_parquet(handle).iter_batches(_BATCH, columns=list(wanted)):
                        if batch.num_rows:
                            yield {column: _parquet_cells(batch.column(column)) for column in wanted}
            except (pa.ArrowException, KeyError, OSError, ValueError, OverflowError) as error:
                raise DataError(
                    f"{name}: cannot be read as Parquet with columns {', '.join(wanted)}: {error}"
                ) from error

    root = path if system.isdir(inner) else parent(path)
    return Manifest(filename(path), path, root, tuple(columns), batches)


def open_jsonl(path: str) -> Manifest:
    """Open a file with a JSON object per line; a key that a line lacks is an empty cell.

    Raises:
        DataError: If a line is not a JSON object, or the file is empty. The message gives the line.
    """
    columns = tuple(dict.fromkeys(column for row in _json_rows(path) for column in row))
    if not columns:
        raise DataError(f"{filename(path)}: empty; expected a JSON object on each line")

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        for row in _json_rows(path):
            yield {column: [row.get(column)] for column in wanted}

    return Manifest(filename(path), path, parent(path), columns, batches)


def open_folder(path: str) -> Manifest:
    """Open a folder with a sub-folder of image or audio files per class.

    Columns are ``id`` (path below the folder), ``path`` and ``label`` (name of the sub-folder). There is a
    column ``split`` too if the top folders are named train, val (valid, validation, dev) and test.
    Files with other suffixes are ignored with a warning.

    Raises:
        DataError: If no sub-folder has an image or audio file.
    """
    system, inner = filesystem(path)
    if not system.isdir(inner):
        raise DataError(f"{path}: not a folder; data.format: folder reads one with a sub-folder per class")
    below = [_below(inner, file) for file in system.find(inner) if _visible(inner, file)]
    media = sorted(file for file in below if file.suffix.lower() in IMAGE_SUFFIXES | AUDIO_SUFFIXES)
    tops = {file.parts[0] for file in media if len(file.parts) > 1}
    has_splits = "train" in map(normal_split, tops) and all(normal_split(top) for top in tops)
    depth = 1 if has_splits else 0
    rows = [file for file in media if len(file.parts) > depth + 1]
    if not rows:
        raise DataError(
            f"{path}: no image or audio files in sub-folders ({len(below)} files found). Expected "
            "CLASS/file.png, or train/CLASS/file.png, val/CLASS/..., test/CLASS/..."
        )
    ignored = Counter(file.suffix.lower() or "(no suffix)" for file in set(below) - set(rows))
    if ignored:
        kinds = ", ".join(f"{count} × {suffix}" for suffix, count in ignored.most_common(8))
        logger.warning(
            "%s: %d files are not image or audio files of a class and are ignored: %s",
            path,
            ignored.total(),
            kinds,
        )
    cells: dict[str, list[Any]] = {
        "id": [str(file) for file in rows],
        "label": [file.parts[depth] for file in rows],
        "path": [str(file) for file in rows],
    }
    if has_splits:
        cells["split"] = [file.parts[0] for file in rows]

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        yield {column: cells[column] for column in wanted}

    own_split = "split" if has_splits else None
    return Manifest(filename(path), path, path, tuple(cells), batches, numbered=True, own_split=own_split)


def open_embedded(name: str, folder: Path) -> Manifest:
    """Open a data set that braid generates below ``folder`` on first use.

    Raises:
        DataError: If braid has no data set of that name.
    """
    if name not in EMBEDDED:
        known = ", ".join(EMBEDDED)
        raise DataError(f"data.source: {name!r} is no embedded data set; expected one of {known}.")
    manifest = open_delimited(str(materialise(name, folder / name, seed=0)), ",")
    return replace(manifest, name=name, numbered=True, own_split="split")


READERS: dict[str, Callable[[str, Path], Manifest]] = {
    "csv": lambda path, folder: open_delimited(path, ","),
    "tsv": lambda path, folder: open_delimited(path, "\t"),
    "parquet": lambda path, folder: open_parquet(path),
    "jsonl": lambda path, folder: open_jsonl(path),
    "folder": lambda path, folder: open_folder(path),
    "huggingface": lambda path, folder: open_huggingface(path),
    "demo": lambda path, folder: open_embedded(path, folder),
}
"""Reader by ``data.format``; it takes the source's path, URL or id, and the folder for generated files."""


def _find(source: str, base: Path) -> str | None:
    """Return the absolute path, or URL, of the source; None if it does not exist."""
    if is_url(source):
        system, inner = filesystem(source)
        return source if system.exists(inner) else None
    path = Path(source.removeprefix("file://")).expanduser()
    candidates = [path] if path.is_absolute() else [base / path, Path.cwd() / path]
    return next((str(candidate.resolve()) for candidate in candidates if candidate.exists()), None)


def _guess(source: str, path: str | None) -> str:
    """Guess the format by the source's name, or by the files in its folder; ``path`` is None without one."""
    if path is None and source in EMBEDDED:
        return "demo"
    name = PurePosixPath(plain(source))
    suffix = (PurePosixPath(name.stem) if name.suffix in _COMPRESSIONS else name).suffix.lower()
    if path is None:
        return _FORMATS.get(suffix, "folder")
    system, inner = filesystem(path)
    if system.isdir(inner):
        if not is_url(path) and is_saved_dataset(Path(path)):
            return "huggingface"
        return (
            "parquet"
            if any(str(file).endswith(".parquet") for file in system.ls(inner, detail=False))
            else "folder"
        )
    if suffix not in _FORMATS:
        known = ", ".join(name for name in READERS if name != "demo")
        raise DataError(
            f"data.source: the name of {source} does not show its format. Set data.format: one of {known}."
        )
    return _FORMATS[suffix]


def _missing_source(source: str, base: Path) -> DataError:
    """Return the error for a source that does not exist."""
    if is_url(source):
        return DataError(f"data.source: there is nothing at {source}")
    folders = dict.fromkeys([str(base.resolve()), str(Path.cwd())])
    inside = "" if Path(source).is_absolute() else f" in {' or '.join(folders)}"
    hub = (
        " For a dataset of the Hugging Face hub set data.format: huggingface."
        if source.count("/") == 1
        else ""
    )
    return DataError(f"data.source: there is no {source}{inside}.{hub}")


def _below(inner: str, file: str) -> PurePosixPath:
    return PurePosixPath(file).relative_to(inner)


def _visible(inner: str, file: str) -> bool:
    """Return True if no part of the file's path below the folder begins with a dot or underscore."""
    return not any(part.startswith((".", "_")) for part in _below(inner, file).parts)


def _parquet_columns(system: fsspec.AbstractFileSystem, path: str) -> list[str]:
    """Read the names of a Parquet file's columns."""
    try:
        with system.open(path, "rb") as handle:
            return list(_open_parquet(handle).schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error


def _parquet_cells(column: pa.Array) -> list[Any]:
    """Convert a column to Python's objects; a short float to the number that its shortest digits show."""
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        numbers = column.to_numpy(zero_copy_only=False)
        return [
            None if null else float(str(n))
            for n, null in zip(numbers, column.is_null().to_pylist(), strict=True)
        ]
    return column.to_pylist()


def _open_parquet(handle: Any) -> pq.ParquetFile:
    """Open a Parquet file so that pages with a checksum are verified."""
    return pq.ParquetFile(handle, page_checksum_verification=True)


def _json_rows(path: str) -> Iterator[dict[str, Any]]:
    """Read the objects of a file of JSON lines; see :func:`open_jsonl` for the errors."""
    name = filename(path)
    number = 0
    try:
        with open_unpacked(path) as file:
            for number, line in enumerate(bounded_lines(file, name), start=1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if not text.strip():
                    continue
                row = json.loads(text, object_pairs_hook=_distinct_keys)
                if not isinstance(row, dict):
                    raise DataError(
                        f"{name}, line {number}: expected a JSON object, found {type(row).__name__}"
                    )
                yield row
    except UnicodeDecodeError as error:
        raise DataError(f"{name}, line {number}: not UTF-8 text ({error.reason})") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{name}, line {number}: not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise DataError(f"{name}, line {number}: brackets are nested too deep to be read") from error
    except ValueError as error:  # a repeated key, or a number of thousands of digits
        raise DataError(f"{name}, line {number}: {str(error)[:200]}") from error
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, and refuse a repeated key, of which one value would be lost.

    Raises:
        ValueError: If a key is repeated.
    """
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is repeated")
    return row
