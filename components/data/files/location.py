"""Locations of files: local paths, and URLs that fsspec reads (s3://, gs://, https://, ...)."""

import os
import re
import stat
import unicodedata
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

import fsspec
from fsspec.implementations.local import LocalFileSystem

from components.data.files.policy import policy
from components.data.files.web import Web
from components.errors import DataError

_WEB = ("http://", "https://")
_exists = os.path.exists  # pathlib's raises where text is too long for a name, and is slow
_composed = partial(unicodedata.normalize, "NFC")
_STAMPS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")


def is_url(path: str) -> bool:
    """Return True if ``path`` is a URL that fsspec reads; ``file://`` counts as a local path."""
    return "://" in path and not path.startswith("file://")


def resolve(root: str, path: str) -> str:
    """Return the absolute path or URL of a cell that may be relative to ``root``.

    A local path is spelled as on the disk: letters may be composed or decomposed.
    """
    if path.startswith("file://"):
        return spelled(local_path(path))
    if is_url(path):
        return path
    if "\\" in path and "/" not in path and not _exists(f"{root}/{path}"):
        path = path.replace("\\", "/")  # a manifest written on Windows
    if is_url(root):
        name = _in_url(path) if root.lower().startswith(_WEB) else path
        return f"{root.rstrip('/')}/{name.lstrip('/')}"
    joined = os.path.join(root, path)  # noqa: PTH118  (runs for every row, and pathlib is slow)
    if "/." in joined or "//" in joined or joined.endswith("/"):
        joined = str(Path(joined))
    return spelled(joined)


def local_path(source: str) -> str:
    """Return the path of a local file, which may be given as ``file://``: encoded, or as it is."""
    if not source.startswith("file://"):
        return source
    path = source.removeprefix("file://")
    path = path.removeprefix("localhost") if path.startswith("localhost/") else path
    return path if _exists(path) else unquote(path)


def spelled(path: str) -> str:
    """Return a local path with its letters composed or decomposed as on the disk; unchanged if none fits."""
    return path if path.isascii() or _exists(path) else _alike(path, _composed) or path


def other_case(path: str) -> str | None:
    """Return the part of a local path that the disk spells in other letters, small or large; None if none."""
    alike = _alike(path, str.casefold)
    if alike is None:
        return None
    return alike.removeprefix(os.path.commonpath([path, alike])).lstrip("/")


def plain(path: str) -> str:
    """Return a URL without its query, or a local path unchanged."""
    return path.partition("?")[0] if path.lower().startswith(_WEB) else path


def parent(path: str) -> str:
    """Return the path or URL of the folder that holds ``path``."""
    path = plain(path)
    return path.rsplit("/", 1)[0] if is_url(path) else str(Path(path).parent)


def filename(path: str) -> str:
    """Return the last part of a path or URL."""
    return path.rstrip("/").rsplit("/", 1)[-1]


def below(folder: str, file: str) -> PurePosixPath:
    """Return the path of a file relative to the folder that holds it."""
    return PurePosixPath(file).relative_to(folder)


def visible(folder: str, file: str) -> bool:
    """Return True if no part of the file's path below the folder begins with a dot or underscore."""
    return not any(part.startswith((".", "_")) for part in below(folder, file).parts)


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a URL or local path, and the path within it.

    Raises:
        PermissionError: If the policy does not allow the URL.
        DataError: If the package for that kind of URL is not installed.
    """
    if not is_url(url):
        return LocalFileSystem(), local_path(url)
    policy().check(url)
    if url.lower().startswith(_WEB):
        return Web(), url
    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise DataError(
            f"{url}: cannot be opened: {error}. Object stores need: pip install 'braid[cloud]'"
        ) from error


def read_bytes(path: str) -> bytes:
    """Read a file whole.

    Raises:
        OSError: If the file cannot be read, or is larger than the policy allows. PermissionError if the
            policy forbids the URL, FileNotFoundError if the file does not exist.
    """
    most = policy().most_bytes
    if not is_url(path):
        with Path(path).open("rb") as file:
            expected = min(os.fstat(file.fileno()).st_size, most)
            data = file.read(expected + 1)  # read(most) would allocate the largest size for every file
            if len(data) > expected:
                data += file.read(most + 1 - len(data))
    else:
        system, inner = filesystem(path)
        if not isinstance(system, Web) and int(system.info(inner).get("size") or 0) > most:
            raise OSError(_too_large(most))
        data = bytes(system.cat_file(inner))
    if len(data) > most:
        raise OSError(_too_large(most))
    return data


def _too_large(most: int) -> str:
    return f"larger than {most / 2**20:g} MB (BRAID_MOST_MEGABYTES)"


def version(path: str) -> str:
    """Return a text that changes when the file changes: its size and time of change (or entity tag).

    Raises:
        OSError: If the file cannot be examined; FileNotFoundError if it does not exist.
    """
    if not is_url(path):
        status = os.stat(path)  # noqa: PTH116  (runs for every row, and is twice as fast as pathlib)
        if not stat.S_ISREG(status.st_mode):
            raise IsADirectoryError("not a file")
        return f"{status.st_size}-{status.st_mtime_ns}"
    system, inner = filesystem(path)
    info = system.info(inner)
    if info.get("type") == "directory":
        raise IsADirectoryError("not a file")
    stamp = next((info[key] for key in _STAMPS if info.get(key)), "")
    return f"{info.get('size')}-{stamp}"


def content_version(source: str) -> str:
    """Return a text that changes when a source changes.

    Args:
        source: File, folder or id of a data set.

    Returns:
        :func:`version` of a file; path and version of each file in a folder; anything else unchanged.

    Raises:
        OSError: If a file cannot be examined.
    """
    try:
        return version(source)
    except IsADirectoryError:
        system, inner = filesystem(source)
        files = sorted(system.find(inner))
        return ",".join(f"{file}:{version(resolve('', system.unstrip_protocol(file)))}" for file in files)
    except FileNotFoundError:  # the id of a data set on a hub
        return source


def _in_url(name: str) -> str:
    """Return a file's name as a part of a URL; what is encoded already stays."""
    return quote(re.sub("%(?![0-9A-Fa-f]{2})", "%25", name), safe="/%!$&'()*+,;=:@~")


def _alike(path: str, fold: Callable[[str], str]) -> str | None:
    """Find a local file whose path is equal when both are folded, part by part; None without one."""
    whole, *parts = Path(path).absolute().parts
    for part in parts:
        joined = f"{whole.rstrip('/')}/{part}"
        if not _exists(joined):
            try:
                names = _names(whole, os.stat(whole).st_mtime_ns, fold)  # noqa: PTH116
            except OSError:
                return None
            name = names.get(fold(part))
            if name is None:
                return None
            joined = f"{whole.rstrip('/')}/{name}"
        whole = joined
    return whole


@lru_cache(maxsize=64)
def _names(folder: str, modified: int, fold: Callable[[str], str]) -> dict[str, str]:
    """Return the names in a folder by their folded form; a changed folder is listed anew."""
    return {fold(name): name for name in sorted(os.listdir(folder), reverse=True)}  # noqa: PTH208
