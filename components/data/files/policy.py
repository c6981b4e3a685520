"""Which addresses and folders may be read. Who starts braid decides by its environment, not a manifest.

``BRAID_URL_SCHEMES``    https, s3, gs, gcs, az, abfs, abfss by default
``BRAID_URL_HOSTS``      hosts or buckets, ``*.example.org`` for all below; empty allows all
``BRAID_URL_PRIVATE``    1 allows addresses of this machine and its networks
``BRAID_MOST_MEGABYTES`` of one file, 1024 by default
``BRAID_URL_SECONDS``    for one file over HTTP, 60 by default
``BRAID_DATA_ROOTS``     folders and URLs whose files any manifest may name, besides those in its own folder;
                         each list has commas between
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

SCHEMES = ("https", "s3", "gs", "gcs", "az", "abfs", "abfss")


class OutsideError(ValueError):
    """A manifest names a file that lies outside of the folders that have been declared."""


@dataclass(frozen=True)
class Policy:
    """What the environment allows; see the module."""

    schemes: tuple[str, ...]
    hosts: tuple[str, ...]
    private: bool
    most_bytes: int
    seconds: float
    roots: tuple[str, ...]

    def check(self, url: str) -> None:
        """Refuse a URL whose scheme or host is not allowed.

        Raises:
            PermissionError: Naming the variable that allows it.
        """
        parts = urlsplit(url)
        scheme = parts.scheme.lower()
        if "::" in url.partition("?")[0].replace("[::", "[") or scheme not in self.schemes:
            raise PermissionError(
                f"URLs of the kind {scheme}:// are not allowed (BRAID_URL_SCHEMES: {', '.join(self.schemes)})"
            )
        host = (parts.hostname or "").lower()
        if self.hosts and not any(fnmatchcase(host, known) for known in self.hosts):
            raise PermissionError(f"host {host!r} is not among BRAID_URL_HOSTS ({', '.join(self.hosts)})")

    def address(self, host: str, port: int) -> str:
        """Address of a host to connect to.

        Raises:
            PermissionError: If the host has an address of this machine or a private network.
            OSError: If it has none.
        """
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        for each in found:
            if not self.private and not _is_public(each):
                raise PermissionError(
                    f"host {host!r} has the private address {each}; BRAID_URL_PRIVATE=1 allows such"
                )
        return found[0]


def policy() -> Policy:
    """What the environment allows now."""
    read = os.environ.get
    return Policy(
        schemes=_words(read("BRAID_URL_SCHEMES", "")) or SCHEMES,
        hosts=_words(read("BRAID_URL_HOSTS", "")),
        private=read("BRAID_URL_PRIVATE") == "1",
        most_bytes=int(float(read("BRAID_MOST_MEGABYTES") or 1024) * 2**20),
        seconds=float(read("BRAID_URL_SECONDS") or 60),
        roots=tuple(part.strip() for part in read("BRAID_DATA_ROOTS", "").split(",") if part.strip()),
    )


def confined(path: str, roots: tuple[str, ...]) -> str:
    """A path or URL from a manifest, if it lies in a root; symbolic links count as what they lead to.

    A URL of http or https is a matter of the policy alone. Buckets are opened with this machine's keys, so
    they have to be roots.

    Args:
        path: Absolute path or URL.
        roots: Folders and URLs, the manifest's own among them.

    Raises:
        OutsideError: If it lies in none.
    """
    if "://" in path:
        if urlsplit(path).scheme.lower() in ("http", "https"):
            inside = not _climbs(path)
        else:
            inside = not _climbs(path) and any(path.startswith(f"{root.rstrip('/')}/") for root in roots)
    else:
        real = _real(path)
        folders = [_real_folder(root) for root in roots if "://" not in root]
        inside = any(real == folder or real.startswith(folder.rstrip("/") + "/") for folder in folders)
    if not inside:
        raise OutsideError(
            f"{path} lies outside of the manifest's folder; data.roots declares others that it may name"
        )
    return path


def _climbs(url: str) -> bool:
    return ".." in unquote(urlsplit(url).path).split("/")


def _real(path: str) -> str:
    folder, name = os.path.split(path)
    if name in ("", ".", "..") or Path(path).is_symlink():
        return os.path.realpath(path)
    return f"{_real_folder(folder).rstrip('/')}/{name}"


@lru_cache(maxsize=4096)
def _real_folder(folder: str) -> str:
    return os.path.realpath(Path(folder).expanduser())


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().lower() for word in text.split(",") if word.strip())
