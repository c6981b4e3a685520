"""A proxy before a server, that answers badly where it is told to."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

_DROPPED = {"transfer-encoding", "content-encoding", "content-length", "connection"}


class Proxy:
    """HTTP proxy before a server.

    Attributes:
        address: Of the proxy.
        delay: Seconds before each request is handed on.
        loses: How many answers to each request that changes something are lost: the server did what it was
            asked for, and 500 is answered.
        refuses: How many requests of each kind are answered 500 without being handed on.
    """

    def __init__(self, address: str, behind: str) -> None:
        self.address, self.behind = address, behind
        self.delay, self.loses, self.refuses = 0.0, 0, 0
        self.seen: Counter[str] = Counter()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Hand a request on, or not."""
        size = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(size)
        time.sleep(self.delay)
        request = f"{handler.command} {handler.path} {body!r}"  # the same one, asked again
        self.seen[request] += 1
        if self.seen[request] <= self.refuses:
            self._send(handler, 500, b"refused", {})
            return
        headers = {key: value for key, value in handler.headers.items() if key.lower() != "host"}
        with httpx.Client(trust_env=False, timeout=60) as client:
            got = client.request(handler.command, self.behind + handler.path, content=body, headers=headers)
        if handler.command != "GET" and "search" not in handler.path and self.seen[request] <= self.loses:
            self._send(handler, 500, b"lost", {})
        else:
            self._send(handler, got.status_code, got.content, dict(got.headers))

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        handler.send_response(status)
        for key, value in headers.items():
            if key.lower() not in _DROPPED:
                handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def proxy(behind: str, port: int = 0) -> Iterator[Proxy]:
    """A proxy on 127.0.0.1 before the server at ``behind``, until the block ends."""
    made: Proxy

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None: ...

        def answered(self) -> None:
            made.answer(self)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = answered  # noqa: N815

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        made = Proxy(f"http://127.0.0.1:{server.server_port}", behind)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield made
        finally:
            server.shutdown()
