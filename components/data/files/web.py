"""Files over HTTP and HTTPS: from hosts that the policy allows, bounded in size and time.

A host's address is checked when the connection is made, and the connection is made to that address: a name
that changes its address in between does not help, nor does a redirection.
"""

from __future__ import annotations

import io
import time
import uuid
from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from typing import Any

import httpcore
import httpx
from fsspec import AbstractFileSystem

from components.data.files.policy import policy

_REDIRECTIONS = 5
_STAMPS = ("etag", "last-modified")


class Web(AbstractFileSystem):
    """What readers need of a file system. Paths are whole URLs."""

    protocol = ("http", "https")
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def unstrip_protocol(self, name: str) -> str:
        return name

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        headers, _ = fetch(path, "HEAD")
        stamp = next((headers[name] for name in _STAMPS if name in headers), None) or uuid.uuid4().hex
        return {"name": path, "type": "file", "size": headers.get("content-length"), "ETag": stamp}

    def exists(self, path: str, **options: Any) -> bool:
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def isdir(self, path: str) -> bool:
        return False

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        return fetch(path, "GET")[1][start:end]

    def _open(self, path: str, mode: str = "rb", **options: Any) -> io.BytesIO:
        return io.BytesIO(self.cat_file(path))


class _Checked(httpcore.SyncBackend):
    """Connects to allowed addresses alone."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        address = policy().address(host, port)
        return super().connect_tcp(address, port, timeout, local_address, socket_options)


def fetch(url: str, method: str) -> tuple[dict[str, str], bytes]:
    """Headers in small letters, and the body, after redirections.

    Raises:
        FileNotFoundError: There is none (status 404 or 410).
        OSError: It may not be read (PermissionError), is too large, takes too long, or the server says no.
    """
    allowed = policy()
    deadline = time.monotonic() + allowed.seconds
    for _ in range(_REDIRECTIONS + 1):
        allowed.check(url)
        try:
            headers, body, status = _once(url, method, allowed.most_bytes, deadline)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
        if status in (301, 302, 303, 307, 308) and "location" in headers:
            url = str(httpx.URL(url).join(headers["location"]))
            continue
        if status in (404, 410):
            raise FileNotFoundError(f"the server answers {status}")
        if status >= 300:
            raise OSError(f"the server answers {status}")
        return headers, body
    raise OSError(f"more than {_REDIRECTIONS} redirections")


def _once(url: str, method: str, most: int, deadline: float) -> tuple[dict[str, str], bytes, int]:
    parsed = httpx.URL(url)
    headers: dict[bytes | str, bytes | str] = {
        "Host": parsed.netloc.decode("ascii"),
        "Accept-Encoding": "identity",
        "User-Agent": "braid",
    }
    if parsed.userinfo:
        login = f"{parsed.username}:{parsed.password}".encode()
        headers["Authorization"] = f"Basic {b64encode(login).decode()}"
    target = httpcore.URL(
        scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
    )
    left = max(0.1, deadline - time.monotonic())
    limits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), left)}
    with _pool().stream(method, target, headers=headers, extensions=limits) as response:
        found = {name.decode("ascii").lower(): value.decode("latin-1") for name, value in response.headers}
        if int(found.get("content-length") or 0) > most and method != "HEAD":
            raise OSError(f"larger than {most / 2**20:g} MB (BRAID_MOST_MEGABYTES)")
        parts, size = [], 0
        for part in response.iter_stream():
            parts.append(part)
            size += len(part)
            if size > most:
                raise OSError(f"larger than {most / 2**20:g} MB (BRAID_MOST_MEGABYTES)")
            if time.monotonic() > deadline:
                raise TimeoutError("takes too long (BRAID_URL_SECONDS)")
        return found, b"".join(parts), response.status


@cache
def _pool() -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(network_backend=_Checked(), max_connections=32, keepalive_expiry=10)
