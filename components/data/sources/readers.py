"""Readers, which open ``data.source`` as a manifest."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from components.config.data import DataConfig
from components.data.files.location import (
    below,
    filesystem,
    is_url,
    local_path,
    plain,
    spelled,
    visible,
)
from components.data.files.stores import store_roots, without_dots
from components.data.sources.arrow_files import ARROW, ORC, PARQUET, open_arrow
from components.data.sources.class_folder import open_folder
from components.data.sources.delimited import open_delimited
from components.data.sources.embedded import EMBEDDED, materialise
from components.data.sources.huggingface import is_saved_dataset, open_huggingface
from components.data.sources.json_lines import open_jsonl
from components.data.sources.lakes import is_delta, is_iceberg, open_delta, open_iceberg
from components.data.sources.manifest import Manifest
from components.data.sources.spreadsheet import open_excel
from components.data.sources.sql import open_query
from components.errors import DataError
from components.runtime.environ import filled

_COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst", ".zip")
_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xls": "excel",  # refused by that reader, which names the remedy
    ".ods": "excel",
    **{
        suffix: name
        for name, kind in (("parquet", PARQUET), ("arrow", ARROW), ("orc", ORC))
        for suffix in kind.suffixes
    },
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
    manifest = READERS[name](path or source, config, folder)
    if path is None or is_url(path):
        return manifest
    return replace(manifest, roots=(*manifest.roots, *store_roots(Path(path))))


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


READERS: dict[str, Callable[[str, DataConfig, Path], Manifest]] = {
    "csv": lambda path, data, _: open_delimited(path, ",", data.encoding),
    "tsv": lambda path, data, _: open_delimited(path, "\t", data.encoding),
    "parquet": lambda path, *_: open_arrow(path, PARQUET),
    "arrow": lambda path, *_: open_arrow(path, ARROW),
    "orc": lambda path, *_: open_arrow(path, ORC),
    "jsonl": lambda path, data, _: open_jsonl(path, data.encoding),
    "excel": lambda path, data, _: open_excel(path, data.sheet),
    "delta": lambda path, *_: open_delta(path),
    "iceberg": lambda path, *_: open_iceberg(path),
    "folder": lambda path, *_: open_folder(path),
    "huggingface": lambda path, *_: open_huggingface(path),
    "demo": lambda name, _, folder: open_embedded(name, folder),
}
"""Reader by ``data.format``; it takes the source's path, URL or id, the section, a folder for its files."""


def _find(source: str, base: Path) -> str | None:
    """Return the absolute path, or URL, of the source; None if it does not exist."""
    if is_url(source):
        system, inner = filesystem(source)
        return source if system.exists(inner) else None
    path = Path(local_path(source)).expanduser()
    candidates = [path] if path.is_absolute() else [base.absolute() / path, Path.cwd() / path]
    existing = next((each for each in map(Path, map(spelled, map(str, candidates))) if each.exists()), None)
    return None if existing is None else without_dots(existing)


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
        return _guess_folder(path)
    if suffix not in _FORMATS:
        known = ", ".join(name for name in READERS if name != "demo")
        raise DataError(
            f"data.source: the name of {source} does not show its format. Set data.format: one of {known}."
        )
    return _FORMATS[suffix]


def _guess_folder(path: str) -> str:
    """Guess the format of a folder by the files in it; media files in folders of classes by default."""
    if not is_url(path) and is_saved_dataset(Path(path)):
        return "huggingface"
    if is_delta(path):
        return "delta"
    if is_iceberg(path):
        return "iceberg"
    system, inner = filesystem(path)
    for file in system.find(inner):
        name = _FORMATS.get(PurePosixPath(file).suffix.lower())
        folders = below(inner, file).parts[:-1]
        if (
            name in ("parquet", "arrow", "orc")
            and visible(inner, file)
            and all("=" in each for each in folders)
        ):
            return name
    return "folder"


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
