"""Files over HTTP and HTTPS: from hosts that the policy allows, bounded in size and time.

A connection is made to the very address that was checked. So neither a redirection nor a host that changes
its address between the check and the connection can lead to a forbidden one.
"""

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
    """File system of URLs, with the methods that the readers call. Paths are whole URLs."""

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


class _PolicyBackend(httpcore.SyncBackend):
    """Network backend that connects to allowed addresses only."""

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
    """Request a URL and follow its redirections.

    Args:
        url: URL to request.
        method: HTTP method, such as ``GET``.

    Returns:
        Headers with names in lower case; the body.

    Raises:
        FileNotFoundError: If the status is 404 or 410.
        OSError: If the file is too large or takes too long, or the server refuses it. PermissionError if
            the policy forbids the URL.
    """
    allowed = policy()
    url = _with_hash(url)
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
            raise FileNotFoundError(f"the server responds with status {status}")
        if status >= 300:
            raise OSError(f"the server responds with status {status}")
        return headers, body
    raise OSError(f"more than {_REDIRECTIONS} redirections")


def _with_hash(url: str) -> str:
    """Encode each # in a URL: a client would cut the URL there, though files are named so."""
    server, slash, path = url.partition("://")[2].partition("/")
    if not slash or "#" in server or "?" in server:
        return url
    return f"{url.partition('://')[0]}://{server}/{path.replace('#', '%23')}"


def _once(url: str, method: str, most: int, deadline: float) -> tuple[dict[str, str], bytes, int]:
    """Request a URL once; ``deadline`` is in seconds of the monotonic clock, ``most`` in bytes."""
    parsed = httpx.URL(url)
    request_headers: dict[bytes | str, bytes | str] = {
        "Host": parsed.netloc.decode("ascii"),
        "Accept-Encoding": "identity",
        "User-Agent": "braid",
    }
    if parsed.userinfo:
        login = f"{parsed.username}:{parsed.password}".encode()
        request_headers["Authorization"] = f"Basic {b64encode(login).decode()}"
    target = httpcore.URL(
        scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
    )
    left = max(0.1, deadline - time.monotonic())
    limits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), left)}
    with _pool().stream(method, target, headers=request_headers, extensions=limits) as response:
        headers = {name.decode("ascii").lower(): value.decode("latin-1") for name, value in response.headers}
        if int(headers.get("content-length") or 0) > most and method != "HEAD":
            raise OSError(f"larger than {most / 2**20:g} MB (BRAID_MOST_MEGABYTES)")
        parts, size = [], 0
        for part in response.iter_stream():
            parts.append(part)
            size += len(part)
            if size > most:
                raise OSError(f"larger than {most / 2**20:g} MB (BRAID_MOST_MEGABYTES)")
            if time.monotonic() > deadline:
                raise TimeoutError("takes too long (BRAID_URL_SECONDS)")
        return headers, b"".join(parts), response.status


@cache
def _pool() -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(network_backend=_PolicyBackend(), max_connections=32, keepalive_expiry=10)
