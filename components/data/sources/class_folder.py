"""Folders with a sub-folder of media files per class."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from components.data.files.location import below, filename, filesystem, visible
from components.data.sources.manifest import Batch, Manifest
from components.data.splits import normal_split
from components.errors import DataError

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".tif", ".tiff", ".bmp", ".jp2", ".heic", ".heif"}
)
AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".sph"}
    | {".m4a", ".aac", ".wma", ".webm", ".amr", ".3gp", ".mka", ".wv"}
)


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
    files = [below(inner, file) for file in system.find(inner) if visible(inner, file)]
    media = sorted(file for file in files if file.suffix.lower() in IMAGE_SUFFIXES | AUDIO_SUFFIXES)
    tops = {file.parts[0] for file in media if len(file.parts) > 1}
    has_splits = "train" in map(normal_split, tops) and all(normal_split(top) for top in tops)
    depth = 1 if has_splits else 0
    rows = [file for file in media if len(file.parts) > depth + 1]
    if not rows:
        raise DataError(
            f"{path}: no image or audio files in sub-folders ({len(files)} files found). Expected "
            "CLASS/file.png, or train/CLASS/file.png, val/CLASS/..., test/CLASS/..."
        )
    ignored = Counter(file.suffix.lower() or "(no suffix)" for file in set(files) - set(rows))
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
