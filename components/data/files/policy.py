"""Policy of the addresses and folders that may be read: set by the environment, never by a manifest.

- ``BRAID_URL_SCHEMES``    schemes of allowed URLs; https, s3, gs, gcs, az, abfs, abfss by default.
- ``BRAID_URL_HOSTS``      allowed hosts or buckets, ``*.example.org`` for all below; empty allows all.
- ``BRAID_URL_PRIVATE``    1 allows addresses of this machine and its networks.
- ``BRAID_MOST_MEGABYTES`` largest size of a file, 1024 by default.
- ``BRAID_URL_SECONDS``    longest time for a file over HTTP, 60 by default.
- ``BRAID_DATA_ROOTS``     folders and URLs whose files any manifest may name, besides its own.

Items of a list are separated by commas.
"""

import ipaddress
import os
import socket
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Translation of addresses (RFC 6052, 8215 and 2765): the last four bytes are one of version 4.
_TRANSLATED = [ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")]
SCHEMES = ("https", "s3", "gs", "gcs", "az", "abfs", "abfss")


class OutsideError(ValueError):
    """A manifest names a file outside of the declared folders."""


@dataclass(frozen=True)
class Policy:
    """Limits on the files that may be read; each attribute has its variable in the module's docstring.

    Attributes:
        schemes: Allowed schemes of URLs.
        hosts: Allowed hosts; all if empty.
        private: Allows addresses of this machine and its networks.
        most_bytes: Largest size of a file.
        seconds: Longest time for a file over HTTP.
        roots: Folders and URLs whose files any manifest may name.
    """

    schemes: tuple[str, ...]
    hosts: tuple[str, ...]
    private: bool
    most_bytes: int
    seconds: float
    roots: tuple[str, ...]

    def check(self, url: str) -> None:
        """Check that the scheme and the host of a URL are allowed.

        Raises:
            PermissionError: If one is not; the message names the variable that allows it.
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
        """Look up the address of a host.

        Raises:
            PermissionError: If the host has an address of this machine or of a private network.
            OSError: If the host has no address.
        """
        addresses = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        for address in addresses:
            if not self.private and not _is_public(address):
                raise PermissionError(
                    f"host {host!r} has the private address {address}; BRAID_URL_PRIVATE=1 allows such"
                )
        return addresses[0]


def policy() -> Policy:
    """Read the policy from the environment."""
    variable = os.environ.get
    return Policy(
        schemes=_words(variable("BRAID_URL_SCHEMES", "")) or SCHEMES,
        hosts=_words(variable("BRAID_URL_HOSTS", "")),
        private=variable("BRAID_URL_PRIVATE") == "1",
        most_bytes=int(float(variable("BRAID_MOST_MEGABYTES") or 1024) * 2**20),
        seconds=float(variable("BRAID_URL_SECONDS") or 60),
        roots=tuple(part.strip() for part in variable("BRAID_DATA_ROOTS", "").split(",") if part.strip()),
    )


def require_inside(path: str, roots: tuple[str, ...]) -> str:
    """Check that a path or URL from a manifest lies in a root, after symbolic links are resolved.

    A URL of http or https needs no root: the policy checks its host. A bucket needs one, as it is opened
    with this machine's keys.

    Args:
        path: Absolute path or URL.
        roots: Allowed folders and URLs, the manifest's own folder included.

    Returns:
        The path or URL, unchanged.

    Raises:
        OutsideError: If it lies in no root.
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
    """Return True if the path of a URL has a part ``..``."""
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
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    if within := _within(ip):
        return all(each.is_global and not each.is_multicast for each in within)
    return ip.is_global and not ip.is_multicast and not ip.is_site_local


def _within(ip: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Return the addresses of version 4 that one of version 6 leads to, by whatever way of writing them."""
    low = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.ipv4_mapped is not None:
        return [ip.ipv4_mapped]
    if ip.sixtofour is not None:  # 2002::/16
        return [ip.sixtofour]
    if ip.teredo is not None:  # 2001::/32: the server and the client
        return list(ip.teredo)
    compatible = int(ip) > 1 and int(ip) >> 32 == 0  # ::/96, except for :: and ::1
    return [low] if compatible or any(ip in network for network in _TRANSLATED) else []


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().lower() for word in text.split(",") if word.strip())
