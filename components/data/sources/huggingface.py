"""Data sets of the Hugging Face `datasets` library: saved on disk, a folder of files, or from the hub."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from components.data.files.location import filename
from components.data.sources.arrow_files import cells_of
from components.data.sources.manifest import Batch, Manifest
from components.data.splits import normal_split
from components.errors import DataError

logger = logging.getLogger(__name__)

_BATCH = 32  # rows; few, as they may hold images
_SAVED = ("dataset_dict.json", "dataset_info.json", "state.json")


def is_saved_dataset(folder: Path) -> bool:
    """Return True if ``save_to_disk`` wrote this folder."""
    return any((folder / name).exists() for name in _SAVED)


def open_huggingface(source: str) -> Manifest:
    """Open a data set; embedded media stay bytes or paths, class numbers become class names.

    Splits named train, validation and test become the column ``split``, unless the data has one. Other
    splits are ignored with a warning.

    Args:
        source: Folder, or id on the hub.

    Raises:
        DataError: If the library is missing, or the data set cannot be loaded.
    """
    loaded = _load(source)
    parts = dict(loaded) if isinstance(loaded, dict) else {None: loaded}
    known = {name: part for name, part in parts.items() if normal_split(name) is not None}
    if known and len(known) < len(parts):
        others = ", ".join(f"{name} ({len(parts[name])} rows)" for name in parts if name not in known)
        logger.warning("%s: splits other than train, validation and test are ignored: %s", source, others)
    parts = {name: _undecoded(part) for name, part in (known or parts).items()}
    columns = list(dict.fromkeys(column for part in parts.values() for column in part.column_names))
    own_split = "split" if known and "split" not in columns else None

    def batches(wanted: Sequence[str]) -> Iterator[Batch]:
        for name, part in parts.items():
            present = [column for column in wanted if column in part.column_names]
            classes = {column: _class_names(part.features[column]) for column in present}
            for start in range(0, len(part), _BATCH):
                rows = range(start, min(start + _BATCH, len(part)))
                table = part.select_columns(present)[rows.start : rows.stop] if present else None
                batch: Batch = {}
                for column in wanted:
                    if column == own_split:
                        batch[column] = [name] * len(rows)
                    elif table is not None and column in present:
                        cells = cells_of(table.column(column).combine_chunks())
                        batch[column] = _to_names(cells, classes[column])
                    else:
                        batch[column] = [None] * len(rows)
                yield batch

    root = source if Path(source).is_dir() else str(Path.cwd())
    names = (*columns, own_split) if own_split else tuple(columns)
    return Manifest(filename(source), source, root, names, batches, True, own_split, roots=_caches())


def _caches() -> tuple[str, ...]:
    """Return the folders in which the libraries store downloads from the hub."""
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    return tuple(map(str, (datasets.config.HF_DATASETS_CACHE, HF_HUB_CACHE)))


def _load(source: str) -> Any:
    """Load a folder or hub id; see :func:`open_huggingface` for the errors."""
    try:
        import datasets  # here and not at the top, as it is an optional extra
    except ImportError as error:
        raise DataError(
            f"data.source: {source} is a Hugging Face dataset, which needs: pip install 'braid[datasets]'"
        ) from error
    datasets.disable_progress_bars()
    folder = Path(source)
    try:
        if folder.is_dir() and is_saved_dataset(folder):
            return datasets.load_from_disk(source)
        return datasets.load_dataset(source)
    except Exception as error:  # as errors of pyarrow, of the hub and of the network come through
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        if folder.exists():
            raise DataError(f"data.source: {source} cannot be loaded by datasets: {reason}") from error
        raise DataError(
            f"data.source: there is no folder {source!r}, and it cannot be loaded from the Hugging Face "
            f"hub: {reason}. Without network, save it on another machine with "
            f"datasets.load_dataset({source!r}).save_to_disk('folder') and give that folder as data.source."
        ) from error


def _undecoded(part: Any) -> Any:
    """Return the same rows with each image and audio cell as {bytes, path} instead of decoded."""
    from datasets import Audio, Image

    for column, feature in part.features.items():
        if isinstance(feature, Image | Audio):
            part = part.cast_column(column, type(feature)(decode=False))
    return part.with_format("arrow")


def _class_names(feature: Any) -> list[str] | None:
    """Return the names of a column's classes; None if it holds no class numbers."""
    return list(feature.names) if hasattr(feature, "int2str") and feature.names else None


def _to_names(values: list[Any], names: list[str] | None) -> list[Any]:
    """Replace class numbers by names, and -1, which means no label, by an empty cell."""
    if names is None:
        return values
    return [None if value is None or value < 0 else names[value] for value in values]
