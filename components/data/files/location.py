"""Locations of files: local paths, and URLs that fsspec reads (s3://, gs://, https://, ...)."""

import os
import stat
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

from components.data.files.policy import policy
from components.data.files.web import Web
from components.errors import DataError

_STAMPS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")


def is_url(path: str) -> bool:
    """Return True if ``path`` is a URL that fsspec reads; ``file://`` counts as a local path."""
    return "://" in path and not path.startswith("file://")


def resolve(root: str, path: str) -> str:
    """Return the absolute path or URL of a cell that may be relative to ``root``."""
    if path.startswith("file://"):
        return unquote(urlsplit(path).path)
    if is_url(path):
        return path
    if "\\" in path and "/" not in path:
        path = path.replace("\\", "/")  # a manifest written on Windows
    if is_url(root):
        return f"{root.rstrip('/')}/{path.lstrip('/')}"
    joined = os.path.join(root, path)  # noqa: PTH118  (runs for every row, and pathlib is slow)
    return str(Path(joined)) if "/." in joined or "//" in joined or joined.endswith("/") else joined


def plain(path: str) -> str:
    """Return a URL without its query, or a local path unchanged."""
    return path.partition("?")[0] if is_url(path) else path


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
        return LocalFileSystem(), url.removeprefix("file://")
    policy().check(url)
    if url.lower().startswith(("http://", "https://")):
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
