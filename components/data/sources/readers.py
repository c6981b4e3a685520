"""Readers: from ``data.source`` to a manifest."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
from components.data.sources.packed import UNREADABLE, bounded, opened
from components.data.sources.sql import open_query
from components.data.splits import normal_split
from components.errors import DataError
from components.runtime.environ import filled

logger = logging.getLogger(__name__)

IMAGE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"})
AUDIO_ENDINGS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf"})
_BATCH = 64  # rows may carry pictures
_COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".zip")
_ENDINGS = {
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
        config: The ``data`` section.
        folder: Where an embedded data set goes.
        base: Folder of the pipeline file; a relative source is looked up there, then in the working
            directory. Paths of media that a query gives are relative to it.

    Raises:
        DataError: If there is nothing at the source, its format is not known, or it cannot be read.
    """
    if config.query is not None:
        return open_query(config.source, config.query, str(base))
    source = filled(config.source, "data.source")
    try:
        found = _find(source, base)
    except PermissionError as error:
        raise DataError(f"data.source: {source}: {error}") from error
    except OSError as error:
        raise DataError(f"data.source: {source}: cannot be read: {error}") from error
    name = config.format if config.format != "auto" else _guess(source, found)
    if name not in ("huggingface", "demo") and found is None:
        raise _nothing_there(source, base)
    return READERS[name](found or source, folder)


def open_parquet(path: str) -> Manifest:
    """Open a Parquet file, or a folder of them that have the same columns.

    Raises:
        DataError: If one is not a Parquet file, or there is none in the folder.
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
    columns = _parquet(system, files[0], lambda file: file.schema_arrow.names)

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        for name in files:
            try:
                with system.open(name, "rb") as handle:
                    for batch in _open_parquet(handle).iter_batches(_BATCH, columns=list(wanted)):
                        if batch.num_rows:
                            lists = {column: batch.column(column).to_pylist() for column in wanted}
                            yield lists
            except (pa.ArrowException, KeyError, OSError, ValueError, OverflowError) as error:
                raise DataError(
                    f"{name}: cannot be read as Parquet with columns {', '.join(wanted)}: {error}"
                ) from error

    root = path if system.isdir(inner) else parent(path)
    return Manifest(filename(path), path, root, tuple(columns), batches)


def open_jsonl(path: str) -> Manifest:
    """Open JSON lines: an object a line; a key that a line lacks is an empty cell.

    Raises:
        DataError: If a line is not a JSON object, or there is none. The message names the line.
    """
    columns = tuple(dict.fromkeys(column for row in _json_rows(path) for column in row))
    if not columns:
        raise DataError(f"{filename(path)}: empty; expected a JSON object on each line")

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        for row in _json_rows(path):
            yield {column: [row.get(column)] for column in wanted}

    return Manifest(filename(path), path, parent(path), columns, batches)


def open_folder(path: str) -> Manifest:
    """Open a folder with a sub-folder of pictures or sounds for each class.

    Columns: ``id`` (path below the folder), ``path``, ``label`` (name of the sub-folder), and
    ``split`` if the folders at the top are named train, val (valid, validation, dev) and test, with
    the classes below them. What is neither a picture nor a sound by its ending is left out with a warning.

    Raises:
        DataError: If there is no picture or sound in any sub-folder.
    """
    system, inner = filesystem(path)
    if not system.isdir(inner):
        raise DataError(
            f"{path}: not a folder; data.format: folder reads one with a sub-folder for each class"
        )
    below = [_below(inner, file) for file in system.find(inner) if _visible(inner, file)]
    media = sorted(file for file in below if file.suffix.lower() in IMAGE_ENDINGS | AUDIO_ENDINGS)
    tops = {file.parts[0] for file in media if len(file.parts) > 1}
    has_splits = "train" in map(normal_split, tops) and all(normal_split(top) for top in tops)
    depth = 1 if has_splits else 0
    rows = [file for file in media if len(file.parts) > depth + 1]
    if not rows:
        raise DataError(
            f"{path}: no pictures or sounds in sub-folders ({len(below)} files found). Expected "
            "CLASS/file.png, or train/CLASS/file.png, val/CLASS/..., test/CLASS/..."
        )
    left_out = Counter(file.suffix.lower() or "(no ending)" for file in set(below) - set(rows))
    if left_out:
        kinds = ", ".join(f"{count} × {ending}" for ending, count in left_out.most_common(8))
        logger.warning(
            "%s: %d files are not pictures or sounds of a class and are left out: %s",
            path,
            left_out.total(),
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
    """Open a data set that braid brings along, making it below ``folder`` if it is not there.

    Raises:
        DataError: If there is none of that name.
    """
    if name not in EMBEDDED:
        known = ", ".join(EMBEDDED)
        raise DataError(f"data.source: {name!r} is no embedded data set; there are {known}.")
    manifest = open_delimited(str(materialise(name, folder / name, seed=0)), ",")
    return Manifest(
        name,
        manifest.source,
        manifest.root,
        manifest.columns,
        manifest.batches,
        numbered=True,
        own_split="split",
    )


READERS: dict[str, Callable[[str, Path], Manifest]] = {
    "csv": lambda path, folder: open_delimited(path, ","),
    "tsv": lambda path, folder: open_delimited(path, "\t"),
    "parquet": lambda path, folder: open_parquet(path),
    "jsonl": lambda path, folder: open_jsonl(path),
    "folder": lambda path, folder: open_folder(path),
    "huggingface": lambda path, folder: open_huggingface(path),
    "demo": lambda path, folder: open_embedded(path, folder),
}
"""Opens a source, given its path, URL or id and the folder for generated files, by ``data.format``."""


def _find(source: str, base: Path) -> str | None:
    """Absolute path, or URL, of the source; None if nothing is there."""
    if is_url(source):
        system, inner = filesystem(source)
        return source if system.exists(inner) else None
    path = Path(source.removeprefix("file://")).expanduser()
    places = [path] if path.is_absolute() else [base / path, Path.cwd() / path]
    return next((str(place.resolve()) for place in places if place.exists()), None)


def _guess(source: str, found: str | None) -> str:
    """Format by the name, or by what is in the folder."""
    if found is None and source in EMBEDDED:
        return "demo"
    path = PurePosixPath(plain(source))
    ending = (PurePosixPath(path.stem) if path.suffix in _COMPRESSIONS else path).suffix.lower()
    if found is None:
        return _ENDINGS.get(ending, "folder")
    system, inner = filesystem(found)
    if system.isdir(inner):
        if not is_url(found) and is_saved_dataset(Path(found)):
            return "huggingface"
        return (
            "parquet"
            if any(str(file).endswith(".parquet") for file in system.ls(inner, detail=False))
            else "folder"
        )
    if ending not in _ENDINGS:
        known = ", ".join(name for name in READERS if name != "demo")
        raise DataError(
            f"data.source: cannot tell the format of {source} by its name. Set data.format: one of {known}."
        )
    return _ENDINGS[ending]


def _nothing_there(source: str, base: Path) -> DataError:
    if is_url(source):
        return DataError(f"data.source: there is nothing at {source}")
    places = dict.fromkeys([str(base.resolve()), str(Path.cwd())])
    where = "" if Path(source).is_absolute() else f" in {' or '.join(places)}"
    hub = (
        " For a dataset of the Hugging Face hub set data.format: huggingface."
        if source.count("/") == 1
        else ""
    )
    return DataError(f"data.source: there is no {source}{where}.{hub}")


def _below(inner: str, file: str) -> PurePosixPath:
    return PurePosixPath(file).relative_to(inner)


def _visible(inner: str, file: str) -> bool:
    return not any(part.startswith((".", "_")) for part in _below(inner, file).parts)


def _parquet(
    system: fsspec.AbstractFileSystem, path: str, look: Callable[[pq.ParquetFile], list[str]]
) -> list[str]:
    try:
        with system.open(path, "rb") as handle:
            return look(_open_parquet(handle))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error


def _open_parquet(handle: Any) -> pq.ParquetFile:
    """A Parquet file whose pages are checked where their writer noted checksums."""
    return pq.ParquetFile(handle, page_checksum_verification=True)


def _json_rows(path: str) -> Iterator[dict[str, Any]]:
    name = filename(path)
    number = 0
    try:
        with opened(path) as file:
            for number, line in enumerate(bounded(file, name), start=1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if not text.strip():
                    continue
                row = json.loads(text, object_pairs_hook=_once)
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
        raise DataError(f"{name}, line {number}: brackets within brackets, too deep to be read") from error
    except ValueError as error:  # a key twice, a number of thousands of digits
        raise DataError(f"{name}, line {number}: {str(error)[:200]}") from error
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys differ; of a key that stands twice, one value would be lost."""
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return row
