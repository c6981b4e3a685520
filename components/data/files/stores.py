"""Stores of files by content, into which the links of a data set lead: DVC, git-annex, the hub's cache."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_INSIDE = (Path(".dvc/cache"), Path(".git/annex/objects"))  # of the repository that a data set lies in
_SHARD, _DIGEST = re.compile("[0-9a-f]{2}"), re.compile(r"[0-9a-f]{14,}(\..*)?")


def store_roots(source: Path) -> tuple[str, ...]:
    """Return the folders in which files of a data set may lie, besides the one that the user named.

    They are the folder of the manifest after links are resolved, and stores beside the data. A store that is
    itself a link does not count: whoever wrote the data set could have it lead anywhere.

    Args:
        source: Absolute path of a manifest or folder, as the user wrote it.
    """
    return tuple(dict.fromkeys(map(str, _roots(source))))


def _roots(source: Path) -> Iterator[Path]:
    real = Path(os.path.realpath(source))
    if real.is_file() and real.parent != Path(os.path.realpath(source.parent)):
        sharded = _SHARD.fullmatch(real.parent.name) and _DIGEST.fullmatch(real.name)
        yield real.parent.parent if sharded else real.parent
    for folder in (source, *source.parents):
        for store in _INSIDE:
            if all(map(_is_own_folder, (folder / part for part in (store, *store.parents[:-1])))):
                yield folder / store
        if folder.parent.name == "snapshots" and _is_own_folder(blobs := folder.parent.parent / "blobs"):
            yield blobs


def _is_own_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def without_dots(path: Path) -> str:
    """Return a path without ``..`` where that names the same file; links in it stay as they are."""
    normal = os.path.normpath(path)
    return normal if os.path.realpath(normal) == os.path.realpath(path) else str(path)
